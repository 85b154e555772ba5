/// Reductions over rows, each by a warp or a block. The order of additions depends only on the
/// number of threads.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda/device/launch.h"
#include "cuda/kernels/block_reduce.cuh"
#include "cuda/kernels/pack.cuh"

namespace unroll::gpu {

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
