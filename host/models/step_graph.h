/// A language model one token at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/models/language_model.h"
#include "unroll/ops.h"

namespace unroll {

/// One token of one text.
struct StepGraph {
  Graph graph;
  Tensor input;     // [1, 1] int32
  Tensor log_prob;  // [V] ln p of every next token
  Tensor token;     // [1] int32 drawn from them, with a sampler
  /// The token, or without a sampler the log probabilities; and the step to the next state.
  std::vector<Tensor> fetches;
  std::vector<std::string> carried;  // variables with the state

  explicit StepGraph(const LanguageModelConfig& config,
                     const std::optional<SamplingOptions>& sampler = {});
};

}  // namespace unroll
