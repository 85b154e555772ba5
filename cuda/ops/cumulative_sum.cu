#include "cuda/ops/cumulative_sum.h"

#include "cuda/device/launch.h"
#include "cuda/kernels/block_reduce.cuh"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

struct RunningSum {
  const float* x;
  float* y;
  std::int64_t lines, n, inner;
  bool exclusive, reverse;

  /// Where the k-th term of a line lies.
  __device__ std::int64_t at(std::int64_t line, std::int64_t k) const {
    return (line / inner * n + (reverse ? n - 1 - k : k)) * inner + line % inner;
  }
};

/// One thread per line: neighbouring threads read neighbouring elements.
__global__ __launch_bounds__(kThreads) void sum_lines_kernel(
    __grid_constant__ const RunningSum sum) {
  const std::int64_t line = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (line >= sum.lines) return;
  double total = 0;
  for (std::int64_t k = 0; k < sum.n; ++k) {
    const std::int64_t at = sum.at(line, k);
    const double before = total;
    total += double(sum.x[at]);
    sum.y[at] = float(sum.exclusive ? before : total);
  }
}

/// One warp per line, 32 terms at a time.
__global__ __launch_bounds__(kThreads) void scan_lines_kernel(
    __grid_constant__ const RunningSum sum) {
  const std::int64_t line = std::int64_t(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (line >= sum.lines) return;
  const int lane = int(threadIdx.x) % kWarp;
  double before = 0;  // of all terms of earlier rounds
  for (std::int64_t start = 0; start < sum.n; start += kWarp) {
    const std::int64_t k = start + lane;
    double total = k < sum.n ? double(sum.x[sum.at(line, k)]) : 0;
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const double left = __shfl_up_sync(kAllLanes, total, distance);
      if (lane >= distance) total += left;
    }
    const double left = __shfl_up_sync(kAllLanes, total, 1);
    const double others = lane == 0 ? 0 : left;
    if (k < sum.n) sum.y[sum.at(line, k)] = float(before + (sum.exclusive ? others : total));
    before += __shfl_sync(kAllLanes, total, kWarp - 1);
  }
}

}  // namespace

void cumulative_sum(Device& device, const CumulativeSum& args) {
  const RunningSum sum{args.x.as<float>(), args.y.as<float>(), args.x.shape[0] * args.x.shape[2],
                       args.x.shape[1],    args.x.shape[2],    args.exclusive,
                       args.reverse};
  if (sum.lines * sum.n == 0) return;
  if (sum.inner >= kWarp)
    launch(device.stream(), blocks_for(sum.lines, kThreads), kThreads, sum_lines_kernel, sum);
  else
    launch(device.stream(), blocks_for(sum.lines, kThreads / kWarp), kThreads, scan_lines_kernel,
           sum);
}

}  // namespace unroll::gpu
