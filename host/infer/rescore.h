/// Sorts n-best lists by their own scores and a language model's, and finds the weights of the two
/// by which the first hypotheses have the fewest word errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/infer/n_best.h"
#include "host/infer/score.h"

namespace unroll {

/// A hypothesis counts (1 - model) score + model (ln P + bonus words). Without a bonus a model
/// prefers short hypotheses, because every word has its price.
struct RescoreWeights {
  double model = 0.5;     // in [0, 1]
  double word_bonus = 0;  // in nats for each word

  double of(const Hypothesis& hypothesis) const;
};

/// Scores the hypotheses: `log_prob` and `words`.
/// Errors    std::runtime_error, with the id, if a text is not what the tokenizer reads; others as
///           Scorer::score().
void score_lists(Scorer& scorer, const Tokenizer& tokenizer, std::span<NBestList> lists);

/// Puts the best first, equals in the order in which they are. Their scores become those of the
/// weights, and the features get `name`= ln P in the form of Moses.
void rescore(NBestList& list, const RescoreWeights& weights, const std::string& name);

/// The least number of words to replace, insert and delete.
/// Source    Levenshtein 1966.
std::int64_t word_errors(std::string_view hypothesis, std::string_view reference);

struct WordErrorRate {
  std::int64_t errors = 0, words = 0;  // of the references
  double rate() const { return double(errors) / double(words); }
};

struct TunedWeights {
  RescoreWeights weights;
  WordErrorRate before, after;  // of the first hypotheses
  WordErrorRate oracle;         // of the best ones
};

/// Tries weights on lists that are scored, in their own order. `references`: texts by the ids of
/// lists. Of weights that are equally good it takes the middle ones.
/// Errors    std::runtime_error if a list has no reference, or these have no words.
TunedWeights tune(std::span<const NBestList> lists,
                  const std::map<std::string, std::string>& references);

}  // namespace unroll
