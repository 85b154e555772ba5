/// What a model makes of a text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "host/models/language_model.h"
#include "unroll/session.h"

namespace unroll {

/// Sums over a text; <eos> counts as a token.
struct Evaluation {
  double log_prob = 0;  // natural logarithm
  std::int64_t tokens = 0, hits = 0;

  double loss() const { return -log_prob / double(tokens); }  // nats per token
  double perplexity() const;
  double accuracy() const { return double(hits) / double(tokens); }
  /// `characters` of the source text, newlines included.
  double bits_per_character(std::int64_t characters) const;
};

/// Reads texts from start to end as one continuous stream whose state is carried.
class Evaluator {
 public:
  Evaluator(const LanguageModelConfig& config, std::shared_ptr<VariableStore> store,
            std::int32_t eos);

  /// Throws std::invalid_argument if there are no tokens.
  Evaluation evaluate(std::span<const std::int32_t> tokens);

 private:
  LanguageModelConfig config_;
  std::int32_t eos_;
  EvaluationGraph graph_;
  Session session_;
};

}  // namespace unroll
