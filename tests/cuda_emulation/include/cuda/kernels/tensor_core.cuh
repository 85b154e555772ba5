/// Replaces cuda/kernels/tensor_core.cuh, which says what the lanes hold: the emulation is compiled
/// with this folder first. Sums are float32, in the order of the depth.
#pragma once

#include <bit>
#include <cstdint>

#include "tests/cuda_emulation/include/cuda_runtime.h"
#include "tests/cuda_emulation/include/emulation.h"
#include "tests/cuda_emulation/include/mma.h"

namespace unroll::gpu {
namespace emulated {

struct Operands {
  float* c;
  const std::uint32_t *a, *b;
};

/// The `part`-th operand in a word. For bfloat16 the lower half is the first; for TF32 it is the
/// part that the hardware does not ignore.
template <bool is_bf16>
float operand(std::uint32_t word, int part) {
  if (!is_bf16) return std::bit_cast<float>(word & ~0x1FFFU);
  return std::bit_cast<float>(part == 0 ? word << 16 : word & 0xFFFF0000U);
}

template <bool is_bf16>
void multiply(float* c, const std::uint32_t* a, const std::uint32_t* b) {
  Operands mine{c, a, b};
  emulation::together(&mine, [](void* const* lanes) {
    constexpr int kParts = is_bf16 ? 2 : 1;
    const auto lane = [&](int row, int t) -> const Operands& {
      return *static_cast<const Operands*>(lanes[row * 4 + t]);
    };
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) {
        float& sum = lane(row % 8, column / 2).c[row / 8 * 2 + column % 2];
        for (int word = 0; word < 8; ++word)
          for (int part = 0; part < kParts; ++part)
            sum += operand<is_bf16>(lane(row % 8, word % 4).a[word / 4 * 2 + row / 8], part) *
                   operand<is_bf16>(lane(column, word % 4).b[word / 4], part);
      }
  });
}

}  // namespace emulated

inline void multiply_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulated::multiply<true>(c, a, b);
}
inline void multiply_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulated::multiply<false>(c, a, b);
}
inline float round_to_tf32(float x) {
  return nvcuda::wmma::__float_to_tf32(x);
}

}  // namespace unroll::gpu
