/// One block per row. It reads the logits once for their maximum and the sum of e^(x - max), which
/// it rescales whenever the maximum grows (Milakov & Gimelshein 2018), and a second time to write
/// the gradient.
#include "cuda/ops/softmax_rows.h"

#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>

#include "cuda/device/launch.h"
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/pack.cuh"
#include "cuda/ops/reduction.cuh"

namespace unroll::gpu {
namespace {

constexpr int kMaxThreads = 1024;  // per block: the hardware's limit
constexpr int kMinThreads = 128;   // 16 blocks, which fit on any multiprocessor, then fill it
/// 8 reads of 4 logits keep the last pass over the row, in which some threads idle, short. Not
/// measured.
constexpr std::int64_t kClassesPerThread = 32;
constexpr int kSumThreads = 512;
constexpr int kSumFours = 8, kSumRows = 64;  // per block: reads of whole lines of 128 bytes

using Four = Pack<float, 4>;

__device__ float value_of(const LossScale& scale) {
  return scale.on_device ? *scale.on_device : scale.value;
}

/// Summary of some logits: the maximum, the first class that has it, and the sum of e^(x - max).
struct Best {
  float max, sum;
  int first;
};

/// Finite, so that a logit of -infinity contributes e^-infinity = 0 and not NaN.
__device__ Best no_logits() {
  return {-FLT_MAX, 0.0F, INT_MAX};
}

/// Gives the same bits in either order.
__device__ Best merge(const Best& a, const Best& b) {
  const bool is_a = a.max > b.max || (a.max == b.max && a.first < b.first);
  const Best &more = is_a ? a : b, &less = is_a ? b : a;
  return {more.max, fmaf(less.sum, expf(less.max - more.max), more.sum), more.first};
}

/// Merges over the warp; all lanes receive the result.
__device__ Best merge_lanes(Best best) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    best = merge(best, {__shfl_xor_sync(0xFFFFFFFFU, best.max, offset),
                        __shfl_xor_sync(0xFFFFFFFFU, best.sum, offset),
                        __shfl_xor_sync(0xFFFFFFFFU, best.first, offset)});
  return best;
}

/// Merges over the block; all threads receive the result.
__device__ Best merge_threads(Best best) {
  __shared__ Best warps[kMaxThreads / kWarp];
  const int lane = int(threadIdx.x) % kWarp;
  best = merge_lanes(best);
  if (lane == 0) warps[threadIdx.x / kWarp] = best;
  __syncthreads();
  return merge_lanes(lane < int(blockDim.x) / kWarp ? warps[lane] : no_logits());
}

using Four = Pack<float, 4>;

/// row[at .. at + 4); elements at or past `columns` are `fill`.
__device__ Four load_within(const float* row, int at, std::int64_t columns, float fill) {
  if (at + 4 <= columns && reinterpret_cast<std::uintptr_t>(row) % 16 == 0)
    return load<4>(row + at);
  Four x;
#pragma unroll
  for (int k = 0; k < 4; ++k) x.v[k] = at + k < columns ? row[at + k] : fill;
  return x;
}

__device__ Four biased_logits(const SoftmaxRows& a, const float* logits, int at) {
  Four x = load_within(logits, at, a.classes, -INFINITY);
  const Four bias = load_within(a.bias, at, a.classes, 0.0F);
#pragma unroll
  for (int k = 0; k < 4; ++k) x.v[k] += bias.v[k];
  return x;
}

__device__ Best best_of_thread(const SoftmaxRows& a, const float* logits) {
  Best best = no_logits();
  for (int at = 4 * int(threadIdx.x); at < a.classes; at += 4 * int(blockDim.x)) {
    const Four x = biased_logits(a, logits, at);
    const float top = fmaxf(fmaxf(x.v[0], x.v[1]), fmaxf(x.v[2], x.v[3]));
    if (top > best.max) {
      best.sum *= expf(best.max - top);
      best.max = top;
      best.first = at + (x.v[0] == top ? 0 : x.v[1] == top ? 1 : x.v[2] == top ? 2 : 3);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) best.sum += expf(x.v[k] - best.max);
  }
  return best;
}

__device__ void write_row(const SoftmaxRows& a, float loss, float log_prob, float hit) {
  if (threadIdx.x > 0) return;
  const std::int64_t row = blockIdx.x;
  a.losses[row] = loss;
  if (a.log_prob) a.log_prob[row] = log_prob;
  if (a.hit) a.hit[row] = hit;
}

/// T: the element type of dlogits.
template <typename T>
__global__ __launch_bounds__(kMaxThreads) void softmax_rows_kernel(
    const __grid_constant__ SoftmaxRows a) {
  const std::int64_t row = blockIdx.x;
  const float* logits = a.logits + row * a.stride;
  T* dlogits = a.dlogits ? static_cast<T*>(a.dlogits) + row * a.stride : nullptr;
  const auto for_each_group = [&](const auto& group) {
    for (int at = 4 * int(threadIdx.x); at < a.stride; at += 4 * int(blockDim.x))
      store_rounded(dlogits + at, group(at));
  };

  const int target = a.targets[row];
  const bool ignored = target == a.ignored_id;
  if (ignored || target < 0 || target >= a.classes) {
    const float value = ignored ? 0.0F : NAN;
    write_row(a, value, value, 0.0F);
    if (dlogits) for_each_group([&](int) { return Four{{value, value, value, value}}; });
    return;
  }
  // Read before the barrier in merge_threads(): after it, dlogits may overwrite the logits.
  const float at_target = logits[target] + a.bias[target];
  const Best best = merge_threads(best_of_thread(a, logits));
  const float weight = a.row_weights ? a.row_weights[row] : 1.0F;
  const float log_prob = at_target - best.max - logf(best.sum);
  write_row(a, -log_prob * weight, log_prob, best.first == target ? 1.0F : 0.0F);
  if (!dlogits) return;
  const float share = weight * value_of(a.scale);
  const float factor = share / best.sum;
  for_each_group([&](int at) {
    Four x = biased_logits(a, logits, at);
#pragma unroll
    for (int k = 0; k < 4; ++k)
      x.v[k] = expf(x.v[k] - best.max) * factor - (at + k == target ? share : 0.0F);
    return x;
  });
}

/// Thread (x, y) adds rows y, y + kSumRows ... of four columns.
template <typename T>
__global__ __launch_bounds__(kSumFours* kSumRows) void column_sums_kernel(
    const __grid_constant__ ColumnSums a) {
  __shared__ float parts[kSumRows][4 * kSumFours];
  const std::int64_t first = 4 * (std::int64_t(blockIdx.x) * kSumFours + threadIdx.x);
  Four part{};
  if (first < a.columns)
    for (std::int64_t row = threadIdx.y; row < a.rows; row += kSumRows) {
      const Four x = load_floats<4>(static_cast<const T*>(a.x) + row * a.stride + first);
#pragma unroll
      for (int k = 0; k < 4; ++k) part.v[k] += x.v[k];
    }
#pragma unroll
  for (int k = 0; k < 4; ++k) parts[threadIdx.y][4 * threadIdx.x + k] = part.v[k];
  __syncthreads();
  const int mine = int(threadIdx.y) * kSumFours + int(threadIdx.x);
  const std::int64_t column = std::int64_t(blockIdx.x) * 4 * kSumFours + mine;
  if (mine >= 4 * kSumFours || column >= a.columns) return;
  float sum = a.add ? a.sums[column] : 0.0F;
#pragma unroll 8
  for (int k = 0; k < kSumRows; ++k) sum += parts[k][mine];
  a.sums[column] = sum;
}

__global__ __launch_bounds__(kSumThreads) void mean_scale_kernel(
    const __grid_constant__ MeanScale a) {
  double sum = 0;
  for (std::int64_t row = threadIdx.x; row < a.rows; row += kSumThreads)
    if (a.targets[row] != a.ignored_id) sum += a.row_weights ? double(a.row_weights[row]) : 1.0;
  sum = block_sum<kSumThreads>(sum);
  if (threadIdx.x == 0) *a.scale = float(1 / sum);
}

__global__ __launch_bounds__(kSumThreads) void total_loss_kernel(std::int64_t rows,
                                                                 const float* losses,
                                                                 LossScale scale, float* loss) {
  double sum = 0;
  for (std::int64_t row = threadIdx.x; row < rows; row += kSumThreads) sum += double(losses[row]);
  sum = block_sum<kSumThreads>(sum);
  if (threadIdx.x == 0) *loss = float(sum * double(value_of(scale)));
}

}  // namespace

void softmax_rows(Device& device, const SoftmaxRows& args) {
  const std::int64_t warps = args.classes / (kClassesPerThread * kWarp);
  const auto threads = unsigned(std::clamp<std::int64_t>(warps * kWarp, kMinThreads, kMaxThreads));
  launch(device.stream(), unsigned(args.rows), threads,
         args.element == Element::kFloat32 ? softmax_rows_kernel<float>
                                           : softmax_rows_kernel<__nv_bfloat16>,
         args);
}

void column_sums(Device& device, const ColumnSums& args) {
  launch(device.stream(), blocks_for(args.columns, 4 * kSumFours), dim3(kSumFours, kSumRows),
         args.element == Element::kFloat32 ? column_sums_kernel<float>
                                           : column_sums_kernel<__nv_bfloat16>,
         args);
}

void mean_scale(Device& device, const MeanScale& args) {
  launch(device.stream(), 1, kSumThreads, mean_scale_kernel, args);
}

void total_loss(Device& device, std::int64_t rows, const float* losses, LossScale scale,
                float* loss) {
  launch(device.stream(), 1, kSumThreads, total_loss_kernel, rows, losses, scale, loss);
}

}  // namespace unroll::gpu
