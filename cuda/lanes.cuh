/// Neighbouring elements that one instruction reads or writes.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace unroll::gpu {

/// Aligned as a whole, so a pointer to one must be; aligned() says whether it is.
template <typename T, int count>
struct alignas(sizeof(T) * count) Lanes {
  T v[count];
};

template <typename T, int count>
__host__ __device__ bool aligned(const T* at) {
  return reinterpret_cast<std::uintptr_t>(at) % sizeof(Lanes<T, count>) == 0;
}

template <int count, typename T>
__device__ __forceinline__ Lanes<T, count> load_lanes(const T* from) {
  return *reinterpret_cast<const Lanes<T, count>*>(from);
}

template <int count>
__device__ __forceinline__ void store_lanes(const Lanes<float, count>& x, float* to) {
  *reinterpret_cast<Lanes<float, count>*>(to) = x;
}

/// Rounds to nearest even.
template <int count>
__device__ __forceinline__ void store_lanes(const Lanes<float, count>& x, __nv_bfloat16* to) {
  Lanes<__nv_bfloat16, count> rounded;
#pragma unroll
  for (int k = 0; k < count; ++k) rounded.v[k] = __float2bfloat16(x.v[k]);
  *reinterpret_cast<Lanes<__nv_bfloat16, count>*>(to) = rounded;
}

__device__ __forceinline__ float as_float(float x) {
  return x;
}
__device__ __forceinline__ float as_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

/// row[at .. at + 4) as far as it lies before `columns`, and `fill` in place of what does not.
__device__ __forceinline__ Lanes<float, 4> load_within(const float* row, std::int64_t at,
                                                       std::int64_t columns, float fill) {
  if (at + 4 <= columns && aligned<float, 4>(row + at)) return load_lanes<4>(row + at);
  Lanes<float, 4> x;
#pragma unroll
  for (int k = 0; k < 4; ++k) x.v[k] = at + k < columns ? row[at + k] : fill;
  return x;
}

}  // namespace unroll::gpu
