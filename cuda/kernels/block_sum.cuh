/// A sum over the threads of a block, in double precision.
#pragma once

#include <cub/block/block_reduce.cuh>

namespace unroll::gpu {

/// The sum over the threads of a block, in the same order in every run. Only thread 0 receives it.
/// Call it once per kernel: its shared memory is free again only after the next barrier.
template <int threads>
__device__ double block_sum(double mine) {
  using Reduce = cub::BlockReduce<double, threads>;
  __shared__ typename Reduce::TempStorage storage;
  return Reduce(storage).Sum(mine);
}

}  // namespace unroll::gpu
