/// Sums and maxima over the threads of a warp or a block. The order of additions depends only on
/// the number of threads.
#pragma once

#include <cmath>

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

/// Propagates NaN.
struct Min {
  static constexpr float kIdentity = INFINITY;
  __device__ float operator()(float a, float b) const { return b < a || b != b ? b : a; }
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

}  // namespace unroll::gpu
