#include "host/cli/typing_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "host/base/file.h"

namespace unroll::cli {
namespace {

std::array<int, 2> caught_signals{-1, -1};  // a pipe: any thread may be the one that is interrupted

void keep_signal(int signal) {
  const int error = errno;
  const auto byte = static_cast<unsigned char>(signal);
  [[maybe_unused]] const auto ignored = ::write(caught_signals[1], &byte, 1);
  errno = error;
}

bool is_readable(int fd) {
  pollfd asked{fd, POLLIN, 0};
  return ::poll(&asked, 1, 0) > 0;
}

struct sigaction action_of(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  return action;
}

}  // namespace

TypingSignals::TypingSignals() {
  if (::pipe2(caught_signals.data(), O_CLOEXEC | O_NONBLOCK) != 0)
    fail_call("a pipe for signals", "cannot be made");
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH}) {
    Before before{signal, {}};
    const struct sigaction action = action_of(keep_signal);
    if (::sigaction(signal, nullptr, &before.action) != 0 || before.action.sa_handler == SIG_IGN)
      continue;
    ::sigaction(signal, &action, nullptr);
    before_.push_back(before);
  }
}

TypingSignals::~TypingSignals() {
  for (const Before& before : before_) ::sigaction(before.signal, &before.action, nullptr);
  for (int& fd : caught_signals) {
    ::close(fd);
    fd = -1;
  }
}

std::optional<int> TypingSignals::take() {
  unsigned char byte = 0;
  if (::read(caught_signals[0], &byte, 1) != 1) return std::nullopt;
  return int(byte);
}

bool TypingSignals::has_any() const {
  return is_readable(caught_signals[0]);
}

void TypingSignals::wait() const {
  std::array<pollfd, 2> asked{{{STDIN_FILENO, POLLIN, 0}, {caught_signals[0], POLLIN, 0}}};
  ::poll(asked.data(), asked.size(), -1);
}

void TypingSignals::stop_program() const {
  const struct sigaction stop = action_of(SIG_DFL), keep = action_of(keep_signal);
  ::sigaction(SIGTSTP, &stop, nullptr);
  ::raise(SIGTSTP);
  ::sigaction(SIGTSTP, &keep, nullptr);
}

bool has_input() {
  return is_readable(STDIN_FILENO);
}

}  // namespace unroll::cli
