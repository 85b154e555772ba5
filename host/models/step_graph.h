/// A language model one token at a time, for N texts at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/models/language_model.h"
#include "unroll/ops.h"

namespace unroll {

/// One token of each text.
struct StepGraph {
  Graph graph;
  Tensor input;           // [1, N] int32
  Tensor log_prob;        // [N, V] ln p of every next token
  Tensor token;           // [N] int32 drawn from them, with a sampler
  Tensor token_log_prob;  // [N] ln p of what was drawn, of the model: before the sampler's options
  /// The tokens, or without a sampler the log probabilities; and the step to the next state.
  std::vector<Tensor> fetches;
  std::vector<std::string> carried;  // variables with the state, each [D, N, ...]

  /// `name` is the beginning of the names of carried variables.
  explicit StepGraph(const LanguageModelConfig& config,
                     const std::optional<SamplingOptions>& sampler = {}, std::int64_t batch = 1,
                     const std::string& name = "step");
};

}  // namespace unroll
