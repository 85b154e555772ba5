#include "host/cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <string_view>

namespace unroll::cli {
namespace {

std::atomic<bool> stop{false};
std::atomic<int> caught{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void handle(int signal) {
  if (caught.exchange(signal) != 0) ::_exit(128 + signal);
  stop.store(true);
  constexpr std::string_view kLine =
      "\nunroll: stopping after what is under way; a second signal ends it at once\n";
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, kLine.data(), kLine.size());
}

}  // namespace

const std::atomic<bool>& catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
  return stop;
}

int stop_signal() {
  return caught.load();
}

}  // namespace unroll::cli
