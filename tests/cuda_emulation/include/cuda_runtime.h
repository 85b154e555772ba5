/// The device part of CUDA: kernel sources compile against it as C++, and the threads of each block
/// take turns on one CPU thread.
///
/// All blocks share one static shared memory, which keeps the data of the block before.
#pragma once

#include <math.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/cuda_emulation/include/cuda_runtime_api.h"
#include "tests/cuda_emulation/include/emulation.h"
#include "tests/cuda_emulation/include/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__                \
  emulation::use_static_shared(); \
  static
#define __forceinline__ __inline__ __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

using std::max;
using std::min;

inline float rsqrtf(float x) {
  return 1 / sqrtf(x);
}
template <typename T>
T __ldg(const T* address) {
  return *address;
}
template <typename T>
T __ldcg(const T* address) {
  return *address;
}
inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline int __popc(unsigned bits) {
  return std::popcount(bits);
}
inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}
inline int __clz(int bits) {
  return std::countl_zero(static_cast<unsigned>(bits));
}

[[noreturn]] inline void __trap() {
  emulation::fail("a thread came to __trap()");
}
inline void __syncthreads() {
  emulation::sync_threads();
}
inline int __syncthreads_or(int predicate) {
  return emulation::sync_threads_or(predicate != 0);
}
inline void __threadfence_system() {}
inline void __syncwarp(unsigned mask = 0xFFFFFFFF) {
  emulation::exchange(emulation::WarpOperation::kSync, mask, 0, 0);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return unsigned(emulation::exchange(emulation::WarpOperation::kBallot, mask, predicate != 0, 0));
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, !predicate) == 0;
}

namespace emulation {

template <typename T>
T shuffle(unsigned mask, T value, int source) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(WarpOperation::kShuffle, mask, bits, source);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// The first lane of the segment of `width` lanes that contains this lane.
inline int segment(int width) {
  return lane() & ~(width - 1);
}

}  // namespace emulation

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emulation::shuffle(mask, value, emulation::segment(width) + (source & (width - 1)));
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32) {
  const int source = emulation::lane() ^ flip;
  const bool inside = source < emulation::segment(width) + width;
  return emulation::shuffle(mask, value, inside ? source : emulation::lane());
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int source = emulation::lane() + int(delta);
  const bool inside = source < emulation::segment(width) + width;
  return emulation::shuffle(mask, value, inside ? source : emulation::lane());
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int source = emulation::lane() - int(delta);
  const bool inside = source >= emulation::segment(width);
  return emulation::shuffle(mask, value, inside ? source : emulation::lane());
}

enum cudaLaunchAttributeID { cudaLaunchAttributeCooperative = 2 };
union cudaLaunchAttributeValue {
  int cooperative;
};
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  cudaLaunchAttributeValue val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "what CUDA takes on every GPU");
  bool cooperative = false;
  for (unsigned k = 0; k < config->numAttrs; ++k) {
    if (config->attrs[k].id != cudaLaunchAttributeCooperative) return cudaErrorNotSupported;
    cooperative = config->attrs[k].val.cooperative != 0;
  }
  return emulation::launch(
      config->stream,
      {reinterpret_cast<const void*>(kernel),
       [kernel, values = std::tuple<std::remove_cv_t<Parameters>...>(
                    std::forward<Arguments>(arguments)...)] { std::apply(kernel, values); },
       config->gridDim, config->blockDim, config->dynamicSmemBytes, cooperative});
}
