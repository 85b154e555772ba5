/// Asynchronous copies into shared memory. Each is done as late as CUDA allows: when its thread
/// waits for it. So code that forgets to wait, or that signals others before, sees old data here,
/// too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace emulation {

struct AsyncCopies {
  struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
  };
  std::vector<Copy> open;                 // not committed yet
  std::deque<std::vector<Copy>> waiting;  // by commit, the oldest first
};

/// The copies of the running thread.
inline AsyncCopies& async_copies() {
  static std::vector<AsyncCopies> of_threads;
  const std::size_t block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const std::size_t index = block * 1024 + std::size_t(rank());
  if (index >= of_threads.size()) of_threads.resize(index + 1);
  return of_threads[index];
}

}  // namespace emulation

inline void __pipeline_memcpy_async(void* to, const void* from, std::size_t bytes,
                                    std::size_t zeros = 0) {
  const auto misaligned = [&](const void* p) {
    return reinterpret_cast<std::uintptr_t>(p) % bytes != 0;
  };
  if ((bytes != 4 && bytes != 8 && bytes != 16) || zeros != 0 || misaligned(to) || misaligned(from))
    __builtin_trap();
  emulation::async_copies().open.push_back({to, from, bytes});
}

inline void __pipeline_commit() {
  emulation::AsyncCopies& copies = emulation::async_copies();
  copies.waiting.push_back(std::move(copies.open));
  copies.open.clear();
}

/// Waits until all commits except the last `prior` are done.
inline void __pipeline_wait_prior(std::size_t prior) {
  auto& waiting = emulation::async_copies().waiting;
  for (; waiting.size() > prior; waiting.pop_front())
    for (const auto& copy : waiting.front()) std::memcpy(copy.to, copy.from, copy.bytes);
}
