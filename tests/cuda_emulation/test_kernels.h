/// Kernels for tests of the emulation itself.
#pragma once

#include <cstdint>

#include "cuda/kernels/grid_watch.h"
#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace unroll::test {

inline constexpr int kReverseThreads = 96, kPrimitiveThreads = 70;

/// out[number of the thread in the grid] += that number; all dimensions may be above 1.
__global__ void number_threads(int* out);
/// out[i] = scale out[i] + value
__global__ void scale_and_add(float* out, int n, float scale, float value);
/// Reverses each block's kReverseThreads elements through shared memory. Without the barrier it is
/// a race.
__global__ void reverse(const int* in, int* out, bool barrier);
/// For each of 64 threads, 8 results of warp functions on in[thread], in segments of `width` lanes.
__global__ void warp_functions(const int* in, int* out, int width);
/// out[i] = in[i ^ 1]; each pair of lanes has its own mask and exchanges as often as its number.
__global__ void exchange_in_pairs(const int* in, int* out);
/// Lanes from 20 on return; the others add up their values with a mask of all lanes.
__global__ void sum_after_return(const int* in, int* out);
/// For kPrimitiveThreads values: out[0, 1] what threads 0 and 1 get from Sum, out[2] the maximum,
/// then inclusive and exclusive sums.
__global__ void block_primitives(const int* in, int* out);

enum class ExchangeFault { kNone, kDoesNotAwait, kDoesNotPublish, kOneBuffer };
/// states [2, blocks]; `rounds` times each becomes the sum of all, weighted by 2 k + 1 for block k,
/// plus the number of its block. Round k reads half k % 2. Cooperative, with a word of dynamic
/// shared memory per block. The last block has the fault, or all share one buffer.
__global__ void exchange_states(gpu::GridWatch watch, std::uint32_t* flags, std::uint32_t* states,
                                int rounds, ExchangeFault fault);
/// out[block] = the initial value of word `word` of dynamic shared memory; then the block writes
/// there.
__global__ void use_dynamic_shared(std::uint32_t* out, int word);

// Kernels with faults.
__global__ void static_shared_in_turns(std::uint32_t* out);
__global__ void barrier_after_return();
__global__ void barrier_or_shuffle();
__global__ void shuffle_from_absent_lane();
__global__ void shuffle_with_different_masks();
__global__ void shuffle_outside_mask();

/// For timing.
__global__ void many_barriers(int* out, int rounds);

}  // namespace unroll::test
