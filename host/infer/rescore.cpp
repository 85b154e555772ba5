#include "host/infer/rescore.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"
#include "host/infer/line_scores.h"

namespace unroll {
namespace {

/// Weights of the model from 0 to 1: ratios of the two weights from 2^-10 to 2^10, because the
/// scores of other programs may be in any units.
std::vector<double> candidate_weights() {
  std::vector<double> weights{0};
  for (int quarter = -40; quarter <= 40; ++quarter) {
    const double ratio = std::exp2(0.25 * quarter);
    weights.push_back(ratio / (1 + ratio));
  }
  weights.push_back(1);
  return weights;
}

/// Up to more than a word costs on average with any model of use.
std::vector<double> candidate_bonuses() {
  std::vector<double> bonuses;
  for (int half = 0; half <= 24; ++half) bonuses.push_back(0.5 * half);
  return bonuses;
}

/// A list with the errors of each hypothesis.
struct CountedList {
  const NBestList* list;
  std::vector<std::int64_t> errors;
};

std::size_t best_of(const NBestList& list, const RescoreWeights& weights) {
  std::size_t best = 0;
  double most = weights.of(list.hypotheses[0]);
  for (std::size_t k = 1; k < list.hypotheses.size(); ++k)
    if (const double value = weights.of(list.hypotheses[k]); value > most) {
      most = value;
      best = k;
    }
  return best;
}

std::int64_t errors_with(const std::vector<CountedList>& lists, const RescoreWeights& weights) {
  std::int64_t errors = 0;
  for (const CountedList& counted : lists)
    errors += counted.errors[best_of(*counted.list, weights)];
  return errors;
}

RescoreWeights best_weights(const std::vector<CountedList>& lists) {
  std::vector<RescoreWeights> best;
  std::int64_t fewest = -1;
  for (const double bonus : candidate_bonuses())
    for (const double model : candidate_weights()) {
      const RescoreWeights weights{model, bonus};
      const std::int64_t errors = errors_with(lists, weights);
      if (fewest < 0 || errors < fewest) best.clear();
      if (best.empty()) fewest = errors;
      if (errors == fewest) best.push_back(weights);
    }
  return best[best.size() / 2];
}

}  // namespace

double RescoreWeights::of(const Hypothesis& hypothesis) const {
  return (1 - model) * hypothesis.score +
         model * (hypothesis.log_prob + word_bonus * double(hypothesis.words));
}

void score_lists(Scorer& scorer, const Tokenizer& tokenizer, std::span<NBestList> lists) {
  std::vector<std::vector<std::int32_t>> texts;
  for (NBestList& list : lists)
    for (Hypothesis& hypothesis : list.hypotheses) try {
        LineText text = line_text(tokenizer, hypothesis.text);
        hypothesis.words = text.words - 1;  // without the end
        texts.push_back(std::move(text.ids));
      } catch (const std::runtime_error& error) {
        throw std::runtime_error(fmt::format("{}: {}", in_quotes(hypothesis.id), error.what()));
      }
  const std::vector<std::vector<float>> log_prob = scorer.score(texts);
  std::size_t k = 0;
  for (NBestList& list : lists)
    for (Hypothesis& hypothesis : list.hypotheses) {
      const std::vector<float>& tokens = log_prob[k++];
      hypothesis.log_prob = std::accumulate(tokens.begin(), tokens.end(), 0.0);
    }
}

void rescore(NBestList& list, const RescoreWeights& weights, const std::string& name) {
  for (Hypothesis& hypothesis : list.hypotheses) {
    hypothesis.score = weights.of(hypothesis);
    hypothesis.features += fmt::format("{}{}= {:.6f}", hypothesis.features.empty() ? "" : " ", name,
                                       hypothesis.log_prob);
  }
  std::ranges::stable_sort(list.hypotheses, std::greater(), &Hypothesis::score);
}

std::int64_t word_errors(std::string_view hypothesis, std::string_view reference) {
  const std::vector<std::string_view> got = words_of(hypothesis), wanted = words_of(reference);
  std::vector<std::int64_t> row(wanted.size() + 1);  // errors against the first k wanted words
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < got.size(); ++i) {
    std::int64_t diagonal = std::exchange(row[0], std::int64_t(i) + 1);
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      const std::int64_t replaced = diagonal + (got[i] == wanted[k] ? 0 : 1);
      diagonal = row[k + 1];
      row[k + 1] = std::min({replaced, diagonal + 1, row[k] + 1});
    }
  }
  return row.back();
}

TunedWeights tune(std::span<const NBestList> lists,
                  const std::map<std::string, std::string>& references) {
  TunedWeights tuned;
  std::vector<CountedList> counted;
  std::int64_t words = 0;
  for (const NBestList& list : lists) {
    const auto reference = references.find(list.id);
    if (reference == references.end())
      throw std::runtime_error(
          fmt::format("list {}: got no reference of this id, expected one", in_quotes(list.id)));
    words += std::ssize(words_of(reference->second));
    counted.push_back({&list, {}});
    std::vector<std::int64_t>& errors = counted.back().errors;
    for (const Hypothesis& hypothesis : list.hypotheses)
      errors.push_back(word_errors(hypothesis.text, reference->second));
    tuned.before.errors += errors[0];
    tuned.oracle.errors += *std::ranges::min_element(errors);
  }
  if (words == 0) throw std::runtime_error("got references without a word, expected some words");
  tuned.weights = best_weights(counted);
  tuned.after.errors = errors_with(counted, tuned.weights);
  tuned.before.words = tuned.after.words = tuned.oracle.words = words;
  return tuned;
}

}  // namespace unroll
