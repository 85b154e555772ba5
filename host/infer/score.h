/// How probable texts are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "host/models/language_model.h"
#include "host/models/model_file.h"

namespace unroll {

/// Keeps the graphs for the numbers of texts that it has scored at once: powers of two.
class Scorer {
 public:
  /// The model must outlive it. It has states as TokenStates, of its own name: one Scorer of a
  /// model may be in use.
  /// Errors    std::runtime_error if the model is not a language model.
  explicit Scorer(const LoadedModel& model);
  ~Scorer();

  /// ln P(token | the tokens before it) of each token of each text. Every text begins at the
  /// beginning of a line: the first token follows tokenizer().start(), which itself is not scored.
  /// An evaluation of the same ids (Evaluator) sums the same numbers.
  /// Errors    std::invalid_argument if an id is not in the vocabulary; std::runtime_error if a
  ///           value is not finite.
  std::vector<std::vector<float>> score(std::span<const std::vector<std::int32_t>> texts);

  /// The same of the next tokens of one text that comes in pieces: the first piece begins at the
  /// beginning of a line, and each other one goes on after the piece before it. score() leaves it
  /// alone.
  std::vector<float> score_next(std::span<const std::int32_t> piece);

 private:
  struct Pass;
  void check(std::span<const std::int32_t> ids) const;
  /// Scores at most kRows texts, given by their places.
  void score_together(std::span<const std::vector<std::int32_t>> texts,
                      std::span<const std::size_t> places,
                      std::vector<std::vector<float>>& log_prob);

  const LoadedModel& model_;
  const LanguageModelTask& task_;
  std::map<std::size_t, std::unique_ptr<Pass>> passes_;  // by rows
  std::unique_ptr<Pass> next_;  // of score_next(), with the state after the last piece
  std::int32_t last_;           // token of that piece
};

}  // namespace unroll
