/// Flags in global memory by which the blocks of a cooperative launch wait for each other.
///
/// A flag counts what its block has published. It only grows, modulo 2^32, and each launch
/// continues the count of the launch before: flags are cleared once, when they are allocated, and a
/// graph needs no node for it. So all blocks that wait for each other must publish equally often.
///
/// Flags lie side by side: a warp reads 32 of them in one access to one line of 128 bytes. In
/// separate sectors it would take 32 accesses, and each round has hundreds of polls. Data that
/// others poll should begin in another line.
///
/// Why the data arrives, in the terms of PTX's memory consistency model: the writes of a block's
/// threads come before the __syncthreads() in publish(), which comes before thread 0's
/// store-release. The load-acquire that reads its value synchronizes with it (both are atomic and
/// of device scope) and comes before the __syncthreads() in await(). Causality order passes through
/// barriers, so it covers what all threads of one block write before and all threads of the other
/// read after. Ordinary loads and stores are enough: on the hardware a load-acquire also
/// invalidates the L1 cache of its multiprocessor, so no load finds an older line there. Two kinds
/// of load are not covered. One is ld.global.nc, which the compiler generates for __ldg() and for
/// `const T* __restrict__`; so exchanged data must not be read through such a pointer. The other is
/// copies by the TMA, which need a fence.proxy.async first. __ldcg() is best for data that is read
/// once a round: it leaves nothing in L1.
///
/// A block that overwrites data must know that the others have read it. A block has read the data
/// of one round before it publishes the next. So two buffers in turn are enough if every block that
/// reads another is also awaited by it; one buffer is not enough.
///
/// A wait that never ends would block the device for all programs, and __trap() would destroy the
/// context with all its memory. So a block that has polled for too long gives up: it records what
/// it waited for and returns, and all other waiting blocks do the same (grid_watch.h). The flags
/// are out of step after that.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cuda/atomic>

#include "cuda/kernels/grid_watch.h"

namespace unroll::gpu {

using GridFlag = cuda::atomic_ref<std::uint32_t, cuda::thread_scope_device>;

/// The value that this block published last, in the launch before; the first value of this launch
/// is 1 more. All threads call it, before publish(). It is not an ordinary load: the hardware would
/// wait for that where the value is first compared, anew in each round, and with it for all other
/// loads under way.
__device__ inline std::uint32_t published(std::uint32_t* flags, int block) {
  return GridFlag(flags[block]).load(cuda::memory_order_acquire);
}

/// Publishes everything that the threads of this block wrote so far. All threads of the block,
/// which is one-dimensional, call it.
///
/// A thread of the last warp stores the flag: that warp polls no flags unless there are very many,
/// and the store takes as long as the slowest write before it.
__device__ inline void publish(std::uint32_t* flags, int block, std::uint32_t value) {
  __syncthreads();
  if (threadIdx.x == (blockDim.x - 1) / 32 * 32)
    GridFlag(flags[block]).store(value, cuda::memory_order_release);
}

/// Whether to give up a wait after so many polls: because there were too many, or because another
/// block gave up.
__device__ inline bool gives_up(const GridWatch& watch, std::uint32_t polls,
                                const GridFault& fault) {
  GridFlag stop(*watch.stop);
  if (stop.load(cuda::memory_order_acquire) != 0) return true;
  if (polls < kMostPolls) return false;
  if (stop.exchange(1, cuda::memory_order_relaxed) == 0) {  // the first one records why
    *watch.fault = fault;
    __threadfence_system();
  }
  return true;
}

/// Waits until the first `count` flags have reached the value. Returns false if the wait was given
/// up: the block then has to return. All threads of the one-dimensional block call it.
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
