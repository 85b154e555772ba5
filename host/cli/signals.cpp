#include "host/cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace unroll::cli {
namespace {

std::atomic<bool> stop{false};
std::atomic<int> caught{0};  // the first
std::atomic<bool> silent{false};
std::atomic<bool> insisted_on{false};  // by a signal that may end the program
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void write_line(std::string_view line) {
  if (silent.load()) return;
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, line.data(), line.size());
}

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

void handle_lost_mapping(int) {
  write_line(
      "unroll: a file in use has become shorter or cannot be read any more, expected it to stay as "
      "it was; what was saved is sound\n");
  ::_exit(1);
}

void handle_stop(int signal) {
  const int error = errno;
  const bool warning = signal == SIGUSR1 || signal == SIGUSR2 || signal == SIGXCPU;
  if (!warning && insisted_on.exchange(true)) ::_exit(128 + signal);
  int none = 0;
  const bool first = caught.compare_exchange_strong(none, signal);
  stop.store(true);
  if (!warning)
    write_line(
        "\nunroll: stopping after what is under way; the next SIGINT, SIGTERM or SIGHUP ends it at "
        "once\n");
  else if (first)
    write_line("\nunroll: stopping after what is under way\n");
  errno = error;
}

}  // namespace

std::atomic<bool>& catch_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU}) {
    struct sigaction before {};
    // nohup, or a shell that runs us in the background, wants it ignored.
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      set_handler(signal, handle_stop);
  }
  return stop;
}

void silence_signals() {
  silent = true;
}

int stop_signal() {
  return caught.load();
}

void report_lost_mappings() {
  set_handler(SIGBUS, handle_lost_mapping);
}

}  // namespace unroll::cli
