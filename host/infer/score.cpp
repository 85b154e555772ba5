#include "host/infer/score.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "host/data/examples.h"
#include "host/data/language_corpus.h"
#include "host/infer/token_states.h"
#include "host/models/stored_variables.h"

namespace unroll {
namespace {

/// Texts at once: the more, the larger the products, and the more padding.
constexpr std::size_t kRows = 64;
/// Tokens of a run: enough for efficient products, and few enough to stay in a cache.
constexpr std::size_t kTokens = 1024;
static_assert(kTokens >= std::size_t(kEvaluationSteps) && kTokens >= kRows);

/// How many of the texts, which are in order of length, to score together: so many that less than
/// half of the steps are padding, but for short texts.
std::size_t count_together(std::span<const std::vector<std::int32_t>> texts,
                           std::span<const std::size_t> places) {
  const std::size_t most = 2 * texts[places[0]].size() + 16;
  std::size_t count = 1;
  while (count < std::min(kRows, places.size()) && texts[places[count]].size() <= most) ++count;
  return count;
}

}  // namespace

struct Scorer::Pass {
  std::unique_ptr<EvaluationGraph> graph;
  Session session;
  std::size_t rows;
  std::vector<std::int32_t> inputs, targets;  // [T, N]
  std::vector<float> loss;                    // [T N]

  Pass(const LoadedModel& model, std::size_t n, const std::string& name)
      : graph(model.task->evaluation_graph(std::int64_t(n), name)),
        session(graph->graph, model.store),
        rows(n) {
    clear_variables(graph->carried, *model.store);
  }

  void run(std::size_t steps) {
    const Shape shape{std::int64_t(steps), std::int64_t(rows)};
    const Feed feeds[] = {{graph->inputs[0], std::span<const std::int32_t>(inputs), shape},
                          {graph->inputs[1], std::span<const std::int32_t>(targets)}};
    session.run(graph->fetches, feeds);
    loss.resize(steps * rows);
    session.read(graph->loss, std::span<float>(loss));
  }
};

Scorer::Scorer(const LoadedModel& model)
    : model_(model), task_(task_of<LanguageModelTask>(model)), last_(task_.tokenizer().start()) {}

Scorer::~Scorer() = default;

void Scorer::check(std::span<const std::int32_t> ids) const {
  const std::int32_t vocabulary = task_.tokenizer().size();
  for (const std::int32_t id : ids)
    if (id < 0 || id >= vocabulary)
      throw std::invalid_argument(
          fmt::format("token: got {}, expected an id below {}", id, vocabulary));
}

std::vector<std::vector<float>> Scorer::score(std::span<const std::vector<std::int32_t>> texts) {
  for (const std::vector<std::int32_t>& text : texts) check(text);
  // Texts of similar length side by side, for less padding.
  std::vector<std::size_t> places(texts.size());
  std::iota(places.begin(), places.end(), 0);
  std::ranges::stable_sort(places, {}, [&](std::size_t k) { return texts[k].size(); });
  std::vector<std::vector<float>> log_prob(texts.size());
  for (std::span<const std::size_t> left = places; !left.empty();) {
    const std::size_t count = count_together(texts, left);
    score_together(texts, left.first(count), log_prob);
    left = left.subspan(count);
  }
  return log_prob;
}

void Scorer::score_together(std::span<const std::vector<std::int32_t>> texts,
                            std::span<const std::size_t> places,
                            std::vector<std::vector<float>>& log_prob) {
  const std::size_t rows = std::bit_ceil(places.size()), longest = texts[places.back()].size();
  std::unique_ptr<Pass>& kept = passes_[rows];
  if (!kept) kept = std::make_unique<Pass>(model_, rows, fmt::format("score-{}", rows));
  Pass& pass = *kept;
  clear_variables(pass.graph->carried, *model_.store);
  const std::size_t most = std::min(std::size_t(kEvaluationSteps), std::bit_floor(kTokens / rows));
  for (std::size_t begin = 0; begin < longest; begin += most) {
    // A power of two, because each number of steps is planned by itself.
    const std::size_t steps = std::min(most, std::bit_ceil(longest - begin));
    pass.inputs.assign(steps * rows, task_.tokenizer().start());
    pass.targets.assign(steps * rows, kIgnoredId);
    for (std::size_t row = 0; row < places.size(); ++row) {
      const std::vector<std::int32_t>& text = texts[places[row]];
      for (std::size_t t = begin; t < std::min(begin + steps, text.size()); ++t) {
        if (t > 0) pass.inputs[(t - begin) * rows + row] = text[t - 1];
        pass.targets[(t - begin) * rows + row] = text[t];
      }
    }
    pass.run(steps);
    for (std::size_t row = 0; row < places.size(); ++row) {
      std::vector<float>& result = log_prob[places[row]];
      const std::size_t size = texts[places[row]].size();
      for (std::size_t t = begin; t < std::min(begin + steps, size); ++t) {
        result.push_back(-pass.loss[(t - begin) * rows + row]);
        if (!std::isfinite(result.back())) fail_not_finite();
      }
    }
  }
}

std::vector<float> Scorer::score_next(std::span<const std::int32_t> piece) {
  check(piece);
  if (!next_) next_ = std::make_unique<Pass>(model_, 1, "score-next");
  std::vector<float> log_prob;
  while (!piece.empty()) {
    // Powers of two again, but without padding, which the state would remember.
    const std::size_t steps = std::min(std::size_t(kEvaluationSteps), std::bit_floor(piece.size()));
    const std::span<const std::int32_t> now = piece.first(steps);
    next_->inputs.assign(1, last_);
    next_->inputs.insert(next_->inputs.end(), now.begin(), now.end() - 1);
    next_->targets.assign(now.begin(), now.end());
    next_->run(steps);
    for (const float loss : next_->loss) {
      log_prob.push_back(-loss);
      if (!std::isfinite(loss)) fail_not_finite();
    }
    last_ = now.back();
    piece = piece.subspan(steps);
  }
  return log_prob;
}

}  // namespace unroll
