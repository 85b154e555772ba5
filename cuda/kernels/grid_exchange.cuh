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
///
/// A wait that does not end would take the device from all programs, and __trap() the context with
/// all that it holds. So a block that has polled for too long gives up: it says what it waited for
/// and leaves, and so do all others that wait (grid_watch.h). Flags are out of step then.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cuda/atomic>

#include "cuda/kernels/grid_watch.h"

namespace unroll::gpu {

using GridFlag = cuda::atomic_ref<std::uint32_t, cuda::thread_scope_device>;

/// What this block published last, in the launch before; the first value of this one is 1 more.
/// For every thread, before publish(). Not an ordinary load: the hardware would wait for it where
/// the value is first compared, in each round anew, and for all other loads on their way there.
__device__ inline std::uint32_t published(std::uint32_t* flags, int block) {
  return GridFlag(flags[block]).load(cuda::memory_order_acquire);
}

/// Shows what all threads of this block wrote so far to whatever awaits the value. For all threads
/// of the block, which is one-dimensional.
///
/// A thread of the last warp does it: that warp has no flags to poll unless there are very many,
/// and the store takes as long as the slowest write before it.
__device__ inline void publish(std::uint32_t* flags, int block, std::uint32_t value) {
  __syncthreads();
  if (threadIdx.x == (blockDim.x - 1) / 32 * 32)
    GridFlag(flags[block]).store(value, cuda::memory_order_release);
}

/// Whether to give up a wait that has taken so many polls: because it was too many, or because
/// another block gave up.
__device__ inline bool gives_up(const GridWatch& watch, std::uint32_t polls,
                                const GridFault& fault) {
  GridFlag stop(*watch.stop);
  if (stop.load(cuda::memory_order_acquire) != 0) return true;
  if (polls < kMostPolls) return false;
  if (stop.exchange(1, cuda::memory_order_relaxed) == 0) {  // the first one says why
    *watch.fault = fault;
    __threadfence_system();
  }
  return true;
}

/// Until the first `count` flags have come to the value. False if that was given up: the block has
/// to leave. For all threads of a one-dimensional block.
__device__ inline bool await(const GridWatch& watch, std::uint32_t* flags, int count,
                             std::uint32_t value) {
  bool gave_up = false;
  for (int i = int(threadIdx.x); i < count && !gave_up; i += int(blockDim.x)) {
    const GridFlag flag(flags[i]);
    std::uint32_t seen = flag.load(cuda::memory_order_acquire);
    for (std::uint32_t polls = 1; std::int32_t(seen - value) < 0 && !gave_up; ++polls) {
      seen = flag.load(cuda::memory_order_acquire);
      if (polls % kPollsBetweenLooks == 0)
        gave_up = gives_up(watch, polls, {1, std::int32_t(blockIdx.x), i, value, seen});
    }
  }
  return __syncthreads_or(int(gave_up)) == 0;
}

}  // namespace unroll::gpu
