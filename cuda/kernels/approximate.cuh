/// The two approximate instructions that the gates use. The emulation of CUDA in tests/ has its own
/// form of this file, whose errors can be as large as the documented bounds.
/// Source: PTX ISA, ex2.approx and rcp.approx.
#pragma once

#include <cuda_runtime.h>

namespace unroll::gpu {

/// 2^x with a relative error of at most 2^-22. Results below 2^-126 are zero.
__device__ __forceinline__ float approximate_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 1 / x with a relative error of at most 2^-23, where |x| and |1 / x| are at least 2^-126.
__device__ __forceinline__ float approximate_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace unroll::gpu
