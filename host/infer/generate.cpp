#include "host/infer/generate.h"

#include <fmt/format.h>

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
  states.begin();
  for (std::int64_t read = 0;; ++read) {
    bool goes_on = false;
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      const std::vector<std::int32_t>& prompt = prompts[row];
      const std::int64_t drawn = read - std::ssize(prompt);  // before this step
      tokens[row] = TokenStates::kNoToken;
      if (drawn < 0) {
        tokens[row] = prompt[std::size_t(read)];
      } else if (drawn < length) {
        const std::int32_t token = states.drawn(std::int64_t(row));
        on_token(std::int64_t(row), token);
        if (drawn + 1 < length) tokens[row] = token;
      }
      goes_on = goes_on || tokens[row] != TokenStates::kNoToken;
    }
    if (!goes_on) return;
    states.advance(tokens);
  }
}

}  // namespace unroll
