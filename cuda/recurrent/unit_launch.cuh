/// Kernels in which a thread computes four neighbouring units of one sequence, and a row of blocks
/// one cell.
#pragma once

#include <cstdint>

#include "cuda/device/launch.h"
#include "cuda/recurrent/gate_steps.cuh"

namespace unroll::gpu {

inline constexpr int kUnitThreads = 128;  // per block

/// The first of this thread's units. Its row may be past the last one.
__device__ __forceinline__ UnitPlace my_place(const GateShape& args) {
  const int quads = args.padded / 4, item = int(blockIdx.x) * kUnitThreads + int(threadIdx.x);
  return {item / quads, item % quads * 4, args.padded};
}

template <typename Cell>
void launch_units(cudaStream_t stream, void (*kernel)(GateArgs<Cell>), const GateArgs<Cell>& args) {
  const std::int64_t items = std::int64_t(args.batch) * (args.padded / 4);
  launch(stream, dim3(blocks_for(items, kUnitThreads), unsigned(args.cells)), kUnitThreads, kernel,
         args);
}

}  // namespace unroll::gpu
