/// Ending a run on request: SIGINT, SIGTERM and SIGHUP ask for it, and a second one of them ends
/// the program at once, as does SIGQUIT, with a core dump. SIGUSR1 and SIGUSR2, which job
/// schedulers send when the time is nearly over, and SIGXCPU, which the system sends every second
/// from its limit on, ask for it too but never end anything: a scheduler's SIGTERM that follows is
/// not to cut off the save.
#pragma once

#include <atomic>

namespace unroll::cli {

/// From now on signals set the flag, which lives as long as the program. A signal that is ignored
/// when this is called stays so.
std::atomic<bool>& catch_stop_signals();

/// The first signal, which set the flag; 0: none.
int stop_signal();

/// A mapped file that has shrunk, or whose disk fails, ends the program with a line and status 1.
void report_lost_mappings();

}  // namespace unroll::cli
