/// The program: standard streams and signals as the commands expect them.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "host/cli/command_line.h"
#include "host/cli/signals.h"

namespace {

/// A file that is opened later must not take the number of a closed standard stream, or lines for
/// that stream would end in the file. The stand-in cannot be written, just as a closed stream.
void keep_standard_streams() {
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY))
    if (fd > STDERR_FILENO) {
      ::close(fd);
      return;
    }
}

}  // namespace

int main(int argc, char** argv) {
  keep_standard_streams();
  // A closed pipe or a limit on the size of files is an error of the call, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  unroll::cli::report_lost_mappings();
  try {
    return unroll::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "unroll: %s\n", error.what());
    return 1;
  }
}
