/// What no schedule of a recurrent stack can beat on a device, from what the device does at most.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/bench/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

/// Of a device. Rates per second.
struct Rates {
  double products = 0;  // floating-point operations of a large matrix product
  double peak = 0;      // of anything: a CPU's multiply-adds in registers; on a GPU `products`
  // The following of a GPU alone.
  double memory = 0;    // bytes, read and written
  double cache = 0;     // bytes from L2 into all multiprocessors
  double kernel = 0;    // seconds from one kernel to the next that needs it
  double exchange = 0;  // seconds in which all multiprocessors exchange states; 0: as published
  int processors = 0;   // 0: a CPU
  double element = 4;   // bytes of an operand of a product
};

/// Measured now, but for `exchange`, which cuda_exchange_seconds() measures. `threads` as cpu()
/// takes it.
Rates measure_rates(const std::shared_ptr<Backend>& backend, int ordinal, int threads);
/// Those of an H100 SXM, for whoever has none at hand: docs/floors.md says where each comes from.
Rates h100_rates(Precision precision);
/// The constants in words, for the head of a CSV.
std::vector<std::string> describe(const Rates& rates);

enum class Pass { kForward, kBackward };

/// What binds: the products of all timesteps, what is saved for the backward pass, or the chain of
/// one layer's timesteps, as kernels that follow each other or as one that exchanges states.
enum class Bound : std::uint8_t { kProducts, kMemory, kKernels, kExchange };

struct Floor {
  double us;  // per timestep of all layers
  Bound bound;
};
Floor floor_of(const StackShape& shape, Pass pass, const Rates& rates);

/// The floors of shapes on an H100, as a table of text: forward / backward at each precision, each
/// with a letter for what binds.
std::string floors_text(const std::vector<StackShape>& shapes);

}  // namespace unroll::benchmark
