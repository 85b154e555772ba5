/// CUDA's float16: IEEE 754's binary16.
#pragma once

#include <bit>
#include <cstdint>

struct __half {
  std::uint16_t bits;
};

inline float __half2float(__half value) {
  const std::uint32_t sign = std::uint32_t(value.bits & 0x8000) << 16;
  const std::uint32_t exponent = value.bits >> 10 & 31, mantissa = value.bits & 0x3FF;
  if (exponent == 0) {  // zero, or a multiple of 2^-24
    const float magnitude = float(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

/// Rounds to nearest, ties to even.
inline __half __float2half(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value), sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return {0x7FFF};                         // CUDA's one NaN
  if (magnitude >= 0x477FF000) return {std::uint16_t(sign | 0x7C00)};  // 65520 and more
  if (magnitude < 0x38800000) {  // below 2^-14: adding 2^-1 leaves multiples of 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return {std::uint16_t(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000))};
  }
  const std::uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return {std::uint16_t(sign | (rounded - (112U << 23)) >> 13)};
}
