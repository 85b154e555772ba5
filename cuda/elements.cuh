/// Four neighbouring numbers at a time, in float32 or bfloat16, and what dropout makes of them.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "unroll/cells/philox.h"

namespace unroll::gpu {

struct Four {
  float v[4];
};

/// From a place that is aligned to four elements.
__device__ __forceinline__ Four load4(const float* from) {
  const float4 x = *reinterpret_cast<const float4*>(from);
  return {{x.x, x.y, x.z, x.w}};
}

__device__ __forceinline__ Four load4(const __nv_bfloat16* from) {
  // A bfloat16 is the upper half of a float32.
  const uint2 x = *reinterpret_cast<const uint2*>(from);
  return {{__uint_as_float(x.x << 16), __uint_as_float(x.x & 0xFFFF0000u),
           __uint_as_float(x.y << 16), __uint_as_float(x.y & 0xFFFF0000u)}};
}

/// The first `count` from any place, zeros for the rest.
__device__ __forceinline__ Four load4(const float* from, int count) {
  Four x{};
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (k < count) x.v[k] = from[k];
  return x;
}

__device__ __forceinline__ void store4(float* to, const Four& x) {
  *reinterpret_cast<float4*>(to) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
}

__device__ __forceinline__ void store4(__nv_bfloat16* to, const Four& x) {
  __nv_bfloat16 rounded[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) rounded[k] = __float2bfloat16(x.v[k]);
  uint2 bits;
  memcpy(&bits, rounded, sizeof(bits));
  *reinterpret_cast<uint2*>(to) = bits;
}

/// The first `count`, to any place.
__device__ __forceinline__ void store4(float* to, const Four& x, int count) {
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (k < count) to[k] = x.v[k];
}

/// Dropout of four elements from logical index `index` on, which need not begin a Philox block.
__device__ __forceinline__ Four drop4(const Four& x, std::uint64_t key, std::uint64_t step,
                                      std::uint64_t index, float rate) {
  const std::uint32_t threshold = cells::dropout_threshold(rate);
  const float scale = 1 / (1 - rate);
  const cells::PhiloxBlock bits = cells::philox(key, step, index / 4);
  const int offset = int(index % 4);
  const cells::PhiloxBlock more = offset == 0 ? bits : cells::philox(key, step, index / 4 + 1);
  Four y;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    // Not word[offset + k]: an index that is not known puts the words into slow memory.
    std::uint32_t word = 0;
#pragma unroll
    for (int w = 0; w < 8; ++w)
      if (w == offset + k) word = w < 4 ? bits.word[w] : more.word[w - 4];
    y.v[k] = word >= threshold ? x.v[k] * scale : 0;
  }
  return y;
}

}  // namespace unroll::gpu
