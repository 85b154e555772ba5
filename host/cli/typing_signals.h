/// Signals while someone types: they wait until they are asked for, so that the terminal is put
/// back before the program ends or stops.
#pragma once

#include <csignal>
#include <optional>
#include <vector>

namespace unroll::cli {

/// Catches SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT and SIGWINCH, but those that are
/// ignored. One at a time.
class TypingSignals {
 public:
  /// Errors    std::runtime_error if the system gives no pipe.
  TypingSignals();
  ~TypingSignals();
  TypingSignals(const TypingSignals&) = delete;
  TypingSignals& operator=(const TypingSignals&) = delete;

  /// The next one that has come.
  std::optional<int> take();
  bool has_any() const;
  /// Waits for a signal, or until stdin can be read.
  void wait() const;
  /// Stops the program as a user asked with SIGTSTP, until it is continued.
  void stop_program() const;

 private:
  struct Before {
    int signal;
    struct sigaction action;
  };
  std::vector<Before> before_;
};

/// Whether a read of stdin returns at once.
bool has_input();

}  // namespace unroll::cli
