/// The most probable texts that follow a prompt, as far as a beam finds them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "host/infer/token_states.h"

namespace unroll {

struct BeamOptions {
  std::int64_t length = 100;      // tokens after which a text is cut
  std::int64_t excluded_id = -1;  // is in no text; -1: none
  /// Whether a text is complete with its last token.
  std::function<bool(std::span<const std::int32_t> tokens)> ends = {};
};

struct BeamText {
  std::vector<std::int32_t> tokens;
  std::vector<double> log_probs;  // ln P of each token
  double log_prob = 0;            // their sum
  bool ended = false;             // else it was cut

  /// ln P a token: the sum would favour short texts.
  double score() const { return log_prob / double(tokens.size()); }
};

/// Goes on from the prompt with as many texts at a time as there are rows, and returns as many, or
/// fewer if there are no more: the best score first. `states` has no sampler.
/// Errors    std::invalid_argument if the length is below 1; others as TokenStates::advance() and
///           log_prob().
/// Source    of the search: Lowerre 1976; of the score: Graves 2012.
std::vector<BeamText> beam_search(TokenStates& states, std::span<const std::int32_t> prompt,
                                  const BeamOptions& options);

}  // namespace unroll
