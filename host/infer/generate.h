/// Texts drawn from a language model, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/infer/token_states.h"

namespace unroll {

/// Is told of each token as it is drawn, and says whether its text goes on.
using OnToken = std::function<bool(std::int64_t row, std::int32_t token)>;

/// Draws `length` tokens after the prompt of each row, fewer where a text ends before; `states` has
/// the sampler. Prompts begin at the beginning of a line and may differ in length. What a row draws
/// depends on its number, its prompt and the seed: text k is the same among any number of texts.
/// Errors    std::invalid_argument if there are not as many prompts as rows, or `length` is below
///           0; others as TokenStates::advance() and drawn().
void generate(TokenStates& states, std::span<const std::vector<std::int32_t>> prompts,
              std::int64_t length, const OnToken& on_token);

/// A text that comes in pieces, up to a string that ends it.
class TextUntil {
 public:
  /// An empty string ends nothing.
  explicit TextUntil(std::string stop) : stop_(std::move(stop)) {}

  /// What can be given out now: all that stands before the string, but not the end of what may be
  /// its beginning.
  std::string next(std::string_view piece);
  bool stopped() const { return stopped_; }
  /// What waits at the end of a text that did not stop.
  std::string rest() { return std::exchange(waiting_, ""); }

 private:
  std::string stop_, waiting_;
  bool stopped_ = false;
};

}  // namespace unroll
