/// Ending a run on request: SIGINT, SIGTERM and SIGHUP ask for it, and so do SIGUSR1, SIGUSR2 and
/// SIGXCPU, which job schedulers send when the time is nearly over. A second signal ends the
/// program at once, and so does SIGQUIT, with a core dump.
#pragma once

#include <atomic>

namespace unroll::cli {

/// From now on signals set the flag, which lives as long as the program. A signal that is ignored
/// when this is called stays so.
std::atomic<bool>& catch_stop_signals();

/// The signal that set the flag; 0: none.
int stop_signal();

/// A mapped file that has shrunk, or whose disk fails, ends the program with a line and status 1.
void report_lost_mappings();

}  // namespace unroll::cli
