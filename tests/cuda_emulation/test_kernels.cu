#include "tests/cuda_emulation/test_kernels.h"

#include "cuda/kernels/grid_exchange.cuh"
#include "cuda/kernels/shared_memory.cuh"
#include "tests/cuda_emulation/include/cub/cub.cuh"

namespace unroll::test {

constexpr unsigned kAll = 0xFFFFFFFF;

__global__ void number_threads(int* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned number = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[number] += int(number);
}

__global__ void __launch_bounds__(256)
    scale_and_add(float* __restrict__ out, int n, float scale, float value) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = fmaf(scale, out[i], value);
}

__global__ void reverse(const int* in, int* out, bool barrier) {
  __shared__ int values[kReverseThreads];
  const int self = int(threadIdx.x), first = int(blockIdx.x) * kReverseThreads;
  values[self] = in[first + self];
  if (barrier) __syncthreads();
  out[first + self] = values[kReverseThreads - 1 - self];
}

__global__ void warp_functions(const int* in, int* out, int width) {
  const int value = in[threadIdx.x];
  int* const results = out + 8 * threadIdx.x;
  results[0] = __shfl_sync(kAll, value, 5, width);
  results[1] = __shfl_xor_sync(kAll, value, 3, width);
  results[2] = __shfl_down_sync(kAll, value, 2, width);
  results[3] = __shfl_up_sync(kAll, value, 1, width);
  results[4] = int(__ballot_sync(kAll, value > 20));
  results[5] = __any_sync(kAll, value == 40);
  results[6] = __all_sync(kAll, value < 32);
  __syncwarp();
  results[7] = int(__shfl_sync(kAll, 0.5 * value, 31));
}

__global__ void exchange_in_pairs(const int* in, int* out) {
  const int pair = int(threadIdx.x) / 2;
  int value = in[threadIdx.x];
  for (int k = 0; k <= 2 * pair; ++k) value = __shfl_xor_sync(3U << (2 * pair % 32), value, 1);
  out[threadIdx.x] = value;
}

__global__ void sum_after_return(const int* in, int* out) {
  if (threadIdx.x >= 20) return;
  const unsigned some = __ballot_sync(kAll, 1);
  int sum = 0;
  for (int lane = 0; lane < __popc(some); ++lane) sum += __shfl_sync(kAll, in[threadIdx.x], lane);
  out[threadIdx.x] = sum;
}

__global__ void block_primitives(const int* in, int* out) {
  using Reduce = cub::BlockReduce<int, kPrimitiveThreads>;
  using Scan = cub::BlockScan<int, kPrimitiveThreads>;
  __shared__ union {
    Reduce::TempStorage reduce;
    Scan::TempStorage scan;
  } storage;
  const int value = in[threadIdx.x];
  const int sum = Reduce(storage.reduce).Sum(value);
  __syncthreads();
  const int most = Reduce(storage.reduce).Reduce(value, [](int a, int b) { return max(a, b); });
  __syncthreads();
  int inclusive, exclusive, total;
  Scan(storage.scan).InclusiveSum(value, inclusive);
  __syncthreads();
  Scan(storage.scan).ExclusiveSum(value, exclusive, total);
  if (threadIdx.x < 2) out[threadIdx.x] = sum;
  if (threadIdx.x == 0) out[2] = most;
  if (threadIdx.x == 60) out[3] = total;
  out[4 + threadIdx.x] = inclusive;
  out[4 + kPrimitiveThreads + threadIdx.x] = exclusive;
}

__global__ void exchange_states(const gpu::GridWatch watch, std::uint32_t* flags,
                                std::uint32_t* states, int rounds, ExchangeFault fault) {
  const int blocks = int(gridDim.x), block = int(blockIdx.x), thread = int(threadIdx.x);
  auto* const terms = reinterpret_cast<std::uint32_t*>(gpu::dynamic_shared());
  const bool last = block + 1 == blocks, one_buffer = fault == ExchangeFault::kOneBuffer;
  std::uint32_t value = gpu::published(flags, block);
  for (int round = 0; round < rounds; ++round) {
    const std::uint32_t* const from = one_buffer ? states : states + round % 2 * blocks;
    std::uint32_t* const to = one_buffer ? states : states + (round + 1) % 2 * blocks;
    for (int i = thread; i < blocks; i += int(blockDim.x)) {
      const int k = blocks - 1 - i;  // not the block for which this thread waited
      terms[k] = __ldcg(from + k) * std::uint32_t(2 * k + 1);
    }
    __syncthreads();
    if (thread + 1 == int(blockDim.x)) {  // not the thread that publishes
      std::uint32_t sum = std::uint32_t(block);
      for (int k = 0; k < blocks; ++k) sum += terms[k];
      to[block] = sum;
    }
    ++value;
    if (!last || fault != ExchangeFault::kDoesNotPublish) gpu::publish(flags, block, value);
    if ((!last || fault != ExchangeFault::kDoesNotAwait) &&
        !gpu::await(watch, flags, blocks, value))
      return;
  }
}

__global__ void use_dynamic_shared(std::uint32_t* out, int word) {
  auto* const words = reinterpret_cast<std::uint32_t*>(gpu::dynamic_shared());
  out[blockIdx.x] = words[word];
  words[word] = blockIdx.x;
}

__global__ void static_shared_in_turns(std::uint32_t* out) {
  __shared__ std::uint32_t value;
  value = 1;
  *out = value;
}

__global__ void barrier_after_return() {
  if (threadIdx.x == 40) return;
  __syncthreads();
}

__global__ void barrier_or_shuffle() {
  if (threadIdx.x % 32 == 0)
    __syncthreads();
  else
    __shfl_sync(kAll, 1, 1);
}

__global__ void shuffle_from_absent_lane() {
  __shfl_sync(3U << (threadIdx.x & ~1U), 1, 7);
}

__global__ void shuffle_with_different_masks() {
  __shfl_sync(threadIdx.x == 0 ? 0xFFFFU : kAll, 1, 0);
}

__global__ void shuffle_outside_mask() {
  __shfl_sync(1, 1, 0);
}

__global__ void many_barriers(int* out, int rounds) {
  for (int k = 0; k < rounds; ++k) __syncthreads();
  if (threadIdx.x == 0) out[blockIdx.x] = rounds;
}

}  // namespace unroll::test
