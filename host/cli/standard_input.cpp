#include "host/cli/standard_input.h"

#include <unistd.h>

#include <utility>

#include "host/base/file.h"

namespace unroll::cli {

StandardInput::StandardInput(std::function<void()> before_waiting)
    : before_waiting_(std::move(before_waiting)) {}

std::size_t StandardInput::read(std::span<char> buffer) const {
  if (!is_ready(STDIN_FILENO)) before_waiting_();
  return read_some(STDIN_FILENO, buffer, kName);
}

}  // namespace unroll::cli
