/// Neighbouring elements that one instruction moves, as float32 or rounded to bfloat16.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace unroll::gpu {

/// Aligned to its size: width 4 of float32 is one 16-byte access.
template <typename T, int width>
struct alignas(width * sizeof(T)) Pack {
  T v[width];
};

template <int width, typename T>
__device__ __forceinline__ Pack<T, width> load(const T* from) {
  return *reinterpret_cast<const Pack<T, width>*>(from);
}

template <int width, typename T>
__device__ __forceinline__ void store(T* to, const Pack<T, width>& pack) {
  *reinterpret_cast<Pack<T, width>*>(to) = pack;
}

template <typename T, int width, typename F>
__device__ __forceinline__ Pack<T, width> map(Pack<T, width> pack, const F& f) {
  for (T& x : pack.v) x = f(x);
  return pack;
}

__device__ __forceinline__ float as_float(float x) {
  return x;
}
__device__ __forceinline__ float as_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

/// Rounds to nearest, ties to even.
__device__ __forceinline__ void store_rounded(float* to, float x) {
  *to = x;
}
__device__ __forceinline__ void store_rounded(__nv_bfloat16* to, float x) {
  *to = __float2bfloat16(x);
}

template <int width, typename T>
__device__ __forceinline__ Pack<float, width> load_floats(const T* from) {
  const Pack<T, width> pack = load<width>(from);
  Pack<float, width> x;
#pragma unroll
  for (int k = 0; k < width; ++k) x.v[k] = as_float(pack.v[k]);
  return x;
}

template <int width, typename T>
__device__ __forceinline__ void store_rounded(T* to, const Pack<float, width>& pack) {
  Pack<T, width> rounded;
#pragma unroll
  for (int k = 0; k < width; ++k) store_rounded(&rounded.v[k], pack.v[k]);
  store(to, rounded);
}

/// Whether rows of `columns` float32, one after the other, can be moved in packs of four.
inline bool packs_of_four(const void* data, std::int64_t columns) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && columns % 4 == 0;
}

}  // namespace unroll::gpu
