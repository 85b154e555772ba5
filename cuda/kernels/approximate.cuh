/// The two approximate instructions that gates are made of. The emulation of CUDA in tests/ has its
/// own form of this file, which can be off by as much as is documented.
/// Source: PTX ISA, ex2.approx and rcp.approx.
#pragma once

#include <cuda_runtime.h>

namespace unroll::gpu {

/// 2^x, off by 2^-22 of it at most. Below 2^-126 it is zero.
__device__ __forceinline__ float approximate_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 1 / x, off by 2^-23 of it at most, for x and 1 / x of at least 2^-126.
__device__ __forceinline__ float approximate_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace unroll::gpu
