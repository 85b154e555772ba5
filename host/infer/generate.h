/// Texts drawn from a language model, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "host/infer/token_states.h"

namespace unroll {

/// Is told of each token as it is drawn.
using OnToken = std::function<void(std::int64_t row, std::int32_t token)>;

/// Draws `length` tokens after the prompt of each row; `states` has the sampler. Prompts begin at
/// the beginning of a line and may differ in length. What a row draws depends on its number, its
/// prompt and the seed, so row 0 draws what it draws with no others.
/// Errors    std::invalid_argument if there are not as many prompts as rows, or `length` is below
///           0; others as TokenStates::advance() and drawn().
void generate(TokenStates& states, std::span<const std::vector<std::int32_t>> prompts,
              std::int64_t length, const OnToken& on_token);

}  // namespace unroll
