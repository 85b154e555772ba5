#include <csignal>
#include <cstdio>
#include <exception>

#include "host/cli/command_line.h"
#include "host/cli/signals.h"

int main(int argc, char** argv) {
  // A full disk or a closed pipe is an error of the call, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  unroll::cli::report_lost_mappings();
  try {
    return unroll::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "unroll: %s\n", error.what());
    return 1;
  }
}
