#include "host/infer/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace unroll {

void generate(TokenStates& states, std::span<const std::vector<std::int32_t>> prompts,
              std::int64_t length, const OnToken& on_token) {
  if (std::ssize(prompts) != states.rows())
    throw std::invalid_argument(fmt::format("prompts: got {}, expected one for each of {} rows",
                                            prompts.size(), states.rows()));
  if (length < 0)
    throw std::invalid_argument(fmt::format("length: got {}, expected 0 or more", length));
  std::vector<std::int32_t> tokens(prompts.size());
  std::vector<bool> ended(prompts.size());
  states.begin();
  for (std::int64_t read = 0;; ++read) {
    bool goes_on = false;
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      const std::vector<std::int32_t>& prompt = prompts[row];
      const std::int64_t drawn = read - std::ssize(prompt);  // before this step
      tokens[row] = TokenStates::kNoToken;
      if (drawn < 0) {
        tokens[row] = prompt[std::size_t(read)];
      } else if (drawn < length && !ended[row]) {
        const std::int32_t token = states.drawn(std::int64_t(row));
        ended[row] = !on_token(std::int64_t(row), token);
        if (drawn + 1 < length && !ended[row]) tokens[row] = token;
      }
      goes_on = goes_on || tokens[row] != TokenStates::kNoToken;
    }
    if (!goes_on) return;
    states.advance(tokens);
  }
}

std::string TextUntil::next(std::string_view piece) {
  waiting_ += piece;
  if (stop_.empty()) return rest();
  std::size_t sure = waiting_.find(stop_);
  if (sure != waiting_.npos) {
    stopped_ = true;
    std::string text = waiting_.substr(0, sure);
    waiting_.clear();
    return text;
  }
  std::size_t begun = std::min(waiting_.size(), stop_.size() - 1);  // of the stop string
  while (!waiting_.ends_with(std::string_view(stop_).substr(0, begun))) --begun;
  sure = waiting_.size() - begun;
  std::string text = waiting_.substr(0, sure);
  waiting_.erase(0, sure);
  return text;
}

}  // namespace unroll
