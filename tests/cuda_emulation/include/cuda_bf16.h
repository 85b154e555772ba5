/// CUDA's bfloat16: the upper half of a float32, rounded to nearest even.
#pragma once

#include <bit>
#include <cstdint>

struct __nv_bfloat16 {
  std::uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 value) {
  return std::bit_cast<float>(std::uint32_t(value.bits) << 16);
}
inline __nv_bfloat16 __float2bfloat16(float value) {
  if (value != value) return {0x7FFF};  // CUDA's one NaN
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return {std::uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  return __float2bfloat16(value);
}
