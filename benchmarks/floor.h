/// What no schedule of a recurrent stack can beat on a device, from what the device does at most.
#pragma once

#include <string>
#include <vector>

#include "benchmarks/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

/// Measured when a benchmark begins, but for what says otherwise. Rates per second.
struct Rates {
  double products = 0;  // floating-point operations of a large matrix product
  double peak = 0;      // of anything: a CPU's multiply-adds in registers; on a GPU `products`
  // The following of a GPU alone.
  double memory = 0;    // bytes, read and written
  double cache = 0;     // bytes from L2 into all multiprocessors
  double kernel = 0;    // seconds from one kernel to the next that needs it
  double exchange = 0;  // seconds in which all multiprocessors exchange states; 0: not measured
  int processors = 0;   // 0: a CPU
  double element = 4;   // bytes of an operand of a product
};

/// `threads` as cpu() takes it.
Rates measure_rates(const std::shared_ptr<Backend>& backend, int ordinal, int threads);
/// The constants in words, for the head of a CSV.
std::vector<std::string> describe(const Rates& rates);

enum class Pass { kForward, kBackward };

/// Microseconds per timestep of all layers.
double floor_us(const StackShape& shape, Pass pass, const Rates& rates);

}  // namespace unroll::benchmark
