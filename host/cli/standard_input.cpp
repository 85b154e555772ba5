#include "host/cli/standard_input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "host/base/file.h"

namespace unroll::cli {
namespace {

/// Whether a read of it returns at once. A file's always does.
bool is_ready(int fd) {
  pollfd asked{fd, POLLIN, 0};
  return ::poll(&asked, 1, 0) != 0;  // an error, too, is there to be read
}

}  // namespace

StandardInput::StandardInput(std::function<void()> before_waiting)
    : before_waiting_(std::move(before_waiting)) {}

std::size_t StandardInput::read(std::span<char> buffer) const {
  if (!is_ready(STDIN_FILENO)) before_waiting_();
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got >= 0) return std::size_t(got);
    if (errno != EINTR) fail_call(kName, "cannot be read");
  }
}

}  // namespace unroll::cli
