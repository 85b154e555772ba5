/// Lower bounds of the time of a recurrent stack for any schedule, computed from the rates of a
/// device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/bench/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

/// The rates of a device, per second.
struct Rates {
  double products = 0;  // floating-point operations of a large matrix product
  double peak = 0;      // a CPU's multiply-adds in registers; on a GPU `products`
  // Only for a GPU:
  double memory = 0;    // bytes, read and written
  double cache = 0;     // bytes from L2 into all multiprocessors
  double kernel = 0;    // seconds from one kernel to a dependent one
  double exchange = 0;  // seconds per exchange between all multiprocessors; 0: published
  int processors = 0;   // 0: a CPU
  double element = 4;   // bytes per operand of a product
};

/// Measures all rates except `exchange`, which cuda_exchange_seconds() measures. `threads`: see
/// cpu().
Rates measure_rates(const std::shared_ptr<Backend>& backend, int ordinal, int threads);
/// The rates of an H100 SXM, for use without one; docs/floors.md gives the source of each.
Rates h100_rates(Precision precision);
/// The rates in words, for the head of a CSV.
std::vector<std::string> describe(const Rates& rates);

enum class Pass { kForward, kBackward };

/// What limits the time: the products of all timesteps, the data saved for the backward pass, or
/// the chain of one layer's timesteps, either as successive kernels or as one that exchanges
/// states.
enum class Bound : std::uint8_t { kProducts, kMemory, kKernels, kExchange };

struct Floor {
  double us;  // per timestep of all layers
  Bound bound;
};
Floor floor_of(const StackShape& shape, Pass pass, const Rates& rates);

/// What the numbers and letters of floors_text() mean, on one line.
std::string floors_legend();

/// The floors of shapes on an H100, as a text table: forward / backward at each precision, each
/// with a letter for the limit.
std::string floors_text(const std::vector<StackShape>& shapes);

}  // namespace unroll::benchmark
