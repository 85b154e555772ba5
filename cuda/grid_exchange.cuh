/// How the blocks of a cooperative launch wait for each other, by flags in global memory.
///
/// A flag is a block's count of what it has published. It only grows, modulo 2^32, and a launch
/// goes on counting where the one before ended: flags are cleared once, when they are allocated,
/// and a graph needs no node for it. So all blocks that wait for each other publish equally often.
///
/// Flags lie side by side: a warp reads 32 of them in one access to one line of 128 bytes. In
/// sectors of their own they would take it 32 accesses, and each round is hundreds of polls. What
/// is polled by others should begin in another line.
///
/// Why the data arrives, in the words of PTX's memory consistency model: the writes of a block's
/// threads come before the __syncthreads() in publish(), that before thread 0's store-release,
/// which synchronizes with the load-acquire that reads its value (both are atomic and of device
/// scope), and that comes before the __syncthreads() in await(): causality order goes through
/// barriers, so it covers what other threads of both blocks write before and read after. Ordinary
/// loads and stores do: on the hardware a load-acquire also throws away the L1 cache of its
/// multiprocessor, so none of them finds a line from before. Two kinds of load are outside of that:
/// ld.global.nc, which the compiler makes of __ldg() and where it sees `const T* __restrict__`, so
/// exchanged data must not come through such a pointer; and copies by the TMA, which want a
/// fence.proxy.async first. __ldcg() is best for what is read once a round: it leaves nothing in
/// L1.
///
/// Who overwrites data must know that it was read. A block has read what it awaited in one round
/// before it publishes the next. So two buffers in turn suffice where every block that reads
/// another is also awaited by it; one does not.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cuda/atomic>

namespace unroll::gpu {

using GridFlag = cuda::atomic_ref<std::uint32_t, cuda::thread_scope_device>;

/// What this block published last, in the launch before; the first value of this one is 1 more.
/// For every thread, before publish().
__device__ inline std::uint32_t published(const std::uint32_t* flags, int block) {
  return flags[block];
}

/// Shows what all threads of this block wrote so far to whoever awaits the value. For all threads
/// of the block.
__device__ inline void publish(std::uint32_t* flags, int block, std::uint32_t value) {
  __syncthreads();
  if (threadIdx.x == 0) GridFlag(flags[block]).store(value, cuda::memory_order_release);
}

/// Until flags [first, first + count) have come to the value. For all threads of a one-dimensional
/// block.
__device__ inline void await(std::uint32_t* flags, int first, int count, std::uint32_t value) {
  // A poll takes a tenth of a microsecond at least, so this is seconds, and a fault: better an
  // error than a device that hangs.
  constexpr std::uint32_t kMostPolls = 1U << 25;
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) {
    const GridFlag flag(flags[first + i]);
    std::uint32_t polls = 0;
    while (std::int32_t(flag.load(cuda::memory_order_acquire) - value) < 0)
      if (++polls == kMostPolls) __trap();
  }
  __syncthreads();
}

}  // namespace unroll::gpu
