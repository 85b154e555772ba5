/// The loss of a model on a text.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "host/data/batches.h"
#include "host/models/language_model.h"
#include "unroll/session.h"

namespace unroll {

/// Sums over a text; <eos> counts as a token if tokens are words.
struct Evaluation {
  double log_prob = 0;  // natural logarithm
  std::int64_t tokens = 0, hits = 0;

  double loss() const { return -log_prob / double(tokens); }  // nats per token
  double perplexity() const;
  /// Errors    std::runtime_error, with the name of the text, if the loss or the perplexity is not
  ///           finite: the model's probabilities are no numbers, or overflow.
  void require_finite(const std::string& text) const;
  double accuracy() const { return double(hits) / double(tokens); }
  /// `characters` of the source text, newlines included.
  double bits_per_character(std::int64_t characters) const;
};

/// Reads texts from start to end, and carries the state of each stream.
class Evaluator {
 public:
  /// `start` is the token that a history starts after. `stop` ends an evaluation when set.
  Evaluator(const LanguageModelConfig& config, std::shared_ptr<VariableStore> store,
            std::int32_t start, const std::atomic<bool>* stop = nullptr);

  /// As one continuous stream. Errors: std::invalid_argument if there are no tokens; Interrupted.
  Evaluation evaluate(TokenIds tokens);
  /// From the beginning of `stream`, wherever it stands. Errors: as BatchStream::next();
  /// Interrupted.
  Evaluation evaluate(BatchStream stream);

 private:
  /// The graph for a number of streams; the one for the last number is kept.
  struct Pass {
    std::int64_t streams;
    std::string name;
    EvaluationGraph graph;
    Session session;

    Pass(const LanguageModelConfig& config, const std::shared_ptr<VariableStore>& store,
         std::int64_t streams, std::string name);
  };

  LanguageModelConfig config_;
  std::shared_ptr<VariableStore> store_;
  std::int32_t start_;
  const std::atomic<bool>* stop_;
  std::unique_ptr<Pass> pass_;
};

}  // namespace unroll
