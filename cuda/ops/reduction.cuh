/// Sums and maxima over the threads of a warp or a block. The order of additions depends only on
/// the number of threads.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "cuda/device/launch.h"
#include "cuda/kernels/pack.cuh"

namespace unroll::gpu {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFF;

struct Sum {
  static constexpr float kIdentity = 0;
  __device__ float operator()(float a, float b) const { return a + b; }
};

/// Propagates NaN.
struct Max {
  static constexpr float kIdentity = -INFINITY;
  __device__ float operator()(float a, float b) const { return a < b || b != b ? b : a; }
};

/// Every lane of the warp gets the result.
template <typename Combine>
__device__ float warp_reduce(float x, Combine combine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    x = combine(x, __shfl_xor_sync(kAllLanes, x, distance));
  return x;
}

/// Every thread of a one-dimensional block of whole warps gets the result.
template <typename Combine>
__device__ float block_reduce(float x, Combine combine) {
  __shared__ float partial[kWarp];
  const int lane = int(threadIdx.x % kWarp), warp = int(threadIdx.x / kWarp);
  x = warp_reduce(x, combine);
  if (lane == 0) partial[warp] = x;
  __syncthreads();
  x = lane < int(blockDim.x / kWarp) ? partial[lane] : Combine::kIdentity;
  __syncthreads();  // the next reduction reuses the memory
  return warp_reduce(x, combine);
}

/// The threads that share a row: one of several warps of a block, or a whole block. A kernel that
/// with_team() launches returns at once if `row` is past the last row.
template <bool whole_block>
struct Team {
  std::int64_t row;
  int rank, size;

  __device__ Team() {
    if constexpr (whole_block) {
      row = blockIdx.x;
      rank = int(threadIdx.x);
      size = int(blockDim.x);
    } else {
      row = std::int64_t(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
      rank = int(threadIdx.x % kWarp);
      size = kWarp;
    }
  }

  /// Combines the packs f(0), f(width), f(2 width) ... of a row; every thread gets the result.
  template <int width, typename Combine, typename F>
  __device__ float reduce(std::int64_t columns, Combine combine, const F& f) const {
    float total[width];
    for (float& x : total) x = Combine::kIdentity;
#pragma unroll 4
    for (std::int64_t i = rank * width; i < columns; i += size * width) {
      const Pack<float, width> terms = f(i);
      for (int j = 0; j < width; ++j) total[j] = combine(total[j], terms.v[j]);
    }
    for (int j = 1; j < width; ++j) total[0] = combine(total[0], total[j]);
    if constexpr (whole_block)
      return block_reduce(total[0], combine);
    else
      return warp_reduce(total[0], combine);
  }

  /// Calls f(0), f(width), f(2 width) ..., distributed over the team.
  template <int width, typename F>
  __device__ void for_each(std::int64_t columns, const F& f) const {
#pragma unroll 4
    for (std::int64_t i = rank * width; i < columns; i += size * width) f(i);
  }
};

/// The threads of a block that holds one warp per row.
constexpr int kTeamBlock = 256;

inline dim3 team_grid(bool whole_block, std::int64_t rows) {
  return whole_block ? unsigned(rows) : blocks_for(rows, kTeamBlock / kWarp);
}

/// Calls start(whole_block, width), both compile-time constants, to launch a kernel of teams.
template <typename Start>
void with_team(bool whole_block, bool packs_of_four, const Start& start) {
  const auto with_width = [&](auto whole) {
    if (packs_of_four)
      start(whole, std::integral_constant<int, 4>());
    else
      start(whole, std::integral_constant<int, 1>());
  };
  if (whole_block)
    with_width(std::true_type());
  else
    with_width(std::false_type());
}

}  // namespace unroll::gpu
