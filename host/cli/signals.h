/// Ending a run on request. SIGINT, SIGTERM and SIGHUP ask for it, and a second one of them ends
/// the program at once. So does SIGQUIT, with a core dump. SIGUSR1 and SIGUSR2, which job
/// schedulers send when the time is nearly over, ask for it too, and so does SIGXCPU, which the
/// system sends every second once its limit is reached. These never end the program, so that the
/// SIGTERM that a scheduler sends next does not cut off the save.
#pragma once

#include <atomic>

namespace unroll::cli {

/// From now on signals set the flag, which lives as long as the program. A signal that is ignored
/// when this is called stays so.
std::atomic<bool>& catch_stop_signals();

/// From now on signals write no line: another process of the same run does.
void silence_signals();

/// The first signal, which set the flag; 0: none.
int stop_signal();

/// A mapped file that has shrunk, or whose disk fails, ends the program with a line and status 1.
void report_lost_mappings();

}  // namespace unroll::cli
