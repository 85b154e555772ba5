/// The tensor core product of one warp: the tile [16, 8] += [16, depth] [depth, 8] in float32, with
/// operands in bfloat16 (depth 16) or TF32 (depth 8). nvcuda::wmma is not used: nvcc does not
/// recognise its loads of these types as loads from shared memory, and it does not say which lane
/// holds which element. The emulation of CUDA in tests/ has its own form of this file.
/// Source: PTX ISA, mma.m16n8k16 and mma.m16n8k8.
///
/// Let q = lane / 4 and t = lane % 4. A lane holds these 32-bit words of a tile; along the depth, a
/// word is one TF32 or two bfloat16 numbers:
///   a: rows q, q + 8, q, q + 8 at words t, t, t + 4, t + 4
///   b: column q at words t, t + 4
///   c: rows q, q, q + 8, q + 8 at columns 2 t, 2 t + 1, 2 t, 2 t + 1
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace unroll::gpu {

__device__ __forceinline__ void multiply_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                              const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void multiply_tf32(float (&c)[4], const std::uint32_t (&a)[4],
                                              const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Rounds to 10 bits of mantissa, ties away from zero.
__device__ __forceinline__ float round_to_tf32(float x) {
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return __uint_as_float(bits);
}

}  // namespace unroll::gpu
