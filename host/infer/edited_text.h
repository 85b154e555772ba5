/// A text that a model reads while it changes, such as one that is being typed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "host/infer/token_states.h"

namespace unroll {

/// Keeps the state before each of the last tokens, so that what a text has in common with the one
/// before it is not read again: neither when it grows, nor when its end is taken back.
class EditedText {
 public:
  static constexpr std::size_t kKept = 1024;  // states; a change before them reads all again

  /// `states` has one row and no sampler, must outlive this, and is used by nothing else.
  explicit EditedText(TokenStates& states);

  /// ln P(token | ids) of every token [V], until the next call; ids stand at the beginning of a
  /// line.
  /// Errors    as TokenStates::advance() and log_prob(); the text is then as it was not yet begun.
  std::span<const float> log_prob(std::span<const std::int32_t> ids);

  /// Tokens read in all calls.
  std::int64_t tokens_read() const { return tokens_read_; }

 private:
  void begin();
  void read(std::int32_t id);

  TokenStates& states_;
  std::vector<std::int32_t> ids_;  // what has been read
  std::deque<TextState> before_;   // the states before the last of them
  std::int64_t tokens_read_ = 0;
};

}  // namespace unroll
