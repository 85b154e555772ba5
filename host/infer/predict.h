/// What comes next: distributions over the tokens of a vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/infer/token_states.h"

namespace unroll {

/// ln P(token | history) of every token, for one history of each row. Histories begin at the
/// beginning of a line and may differ in length. Each row then rests after the last token of its
/// own: take() gives that state.
/// Shapes    -> [N][V]
/// Errors    std::invalid_argument if there are not as many as rows; others as
///           TokenStates::advance() and log_prob().
std::vector<std::vector<float>> predict(TokenStates& states,
                                        std::span<const std::vector<std::int32_t>> histories);

/// The ids of the most probable tokens, in this order; the smaller id of two equal ones first.
std::vector<std::int32_t> most_probable(std::span<const float> log_prob, std::size_t count);

/// One more than the tokens that are more probable.
std::int64_t rank_of(std::span<const float> log_prob, std::int32_t id);

}  // namespace unroll
