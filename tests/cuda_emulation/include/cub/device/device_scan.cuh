/// CUB's prefix sums over an array.
#pragma once

#include <cstring>
#include <type_traits>

#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace emulation {

/// The common part of CUB functions. With null storage, a call returns the size that it needs. With
/// storage, it does `work` and leaves nothing useful in the storage. It takes an error that an
/// earlier call of this thread has left and returns it as its own, like Debug() of CUB's
/// util_debug.cuh.
inline cudaError_t in_two_phases(void* storage, std::size_t& bytes, cudaStream_t stream,
                                 std::function<void()> work) {
  if (const cudaError_t stale = cudaGetLastError(); stale != cudaSuccess) return stale;
  constexpr std::size_t kBytes = 1024;
  if (!storage) {
    bytes = kBytes;
    return cudaSuccess;
  }
  if (bytes < kBytes) return cudaErrorInvalidValue;
  return enqueue(stream, [=] {
    std::memset(storage, 0xFF, kBytes);
    work();
  });
}

}  // namespace emulation

namespace cub {

struct DeviceScan {
  template <typename Input, typename Output, typename Count>
  static cudaError_t InclusiveSum(void* storage, std::size_t& bytes, Input in, Output out,
                                  Count count, cudaStream_t stream = nullptr) {
    return emulation::in_two_phases(storage, bytes, stream, [=] {
      std::decay_t<decltype(in[0])> sum{};
      for (Count k = 0; k < count; ++k) out[k] = sum = sum + in[k];
    });
  }
  template <typename Input, typename Output, typename Count>
  static cudaError_t ExclusiveSum(void* storage, std::size_t& bytes, Input in, Output out,
                                  Count count, cudaStream_t stream = nullptr) {
    return emulation::in_two_phases(storage, bytes, stream, [=] {
      std::decay_t<decltype(in[0])> sum{};
      for (Count k = 0; k < count; ++k) {
        const auto value = in[k];  // out may be in
        out[k] = sum;
        sum = sum + value;
      }
    });
  }
};

}  // namespace cub
