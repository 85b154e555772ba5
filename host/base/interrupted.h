/// How a long job ends early when it is asked to.
#pragma once

#include <atomic>
#include <stdexcept>

namespace unroll {

/// Thrown when a flag, set by another thread or a signal handler, asks a long job to end.
struct Interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Errors    Interrupted if there is a flag and it is set.
inline void stop_if_asked(const std::atomic<bool>* stop) {
  if (stop && stop->load(std::memory_order_relaxed)) throw Interrupted("interrupted");
}

}  // namespace unroll
