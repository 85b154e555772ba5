/// logistic and tanh without a branch. CUDA's division and tanhf() branch for rare arguments, and a
/// branch keeps the compiler from interleaving the other gates of a unit.
///
/// Both have a relative error of at most 2^-21 for every float, except that the logistic function
/// becomes zero below 2^-125. 1 / (1 + expf(-x)) is about as exact. NaN passes through.
#pragma once

#include <cuda_runtime.h>

#include "cuda/kernels/approximate.cuh"

namespace unroll::gpu {

/// e^x for x in [-87, 87], or NaN, with the error of approximate_exp2() plus two roundings.
__device__ __forceinline__ float exp_in_range(float x) {
  constexpr float kLog2E = 1.44269504F, kLog2ERest = 1.92596303e-8F;
  // Adding it leaves the nearest integer in the lowest bits of the sum.
  constexpr float kRounder = 12582912.0F;  // 1.5 2^23
  const float rounded = fmaf(x, kLog2E, kRounder), whole = rounded - kRounder;
  const float rest = fmaf(x, kLog2ERest, fmaf(x, kLog2E, -whole));  // in [-0.5, 0.5]
  // 2^whole: the shift removes everything but the integer. It multiplies, so that NaN stays NaN.
  const float power = __uint_as_float((__float_as_uint(rounded) << 23) + 0x3F800000U);
  return approximate_exp2(rest) * power;
}

/// A float type for the formulas of include/unroll/cells, which then call the functions below.
struct Real {
  float v = 0;

  Real() = default;
  __device__ __forceinline__ explicit Real(float value) : v(value) {}
};
__device__ __forceinline__ Real operator+(Real a, Real b) {
  return Real(a.v + b.v);
}
__device__ __forceinline__ Real operator-(Real a, Real b) {
  return Real(a.v - b.v);
}
__device__ __forceinline__ Real operator*(Real a, Real b) {
  return Real(a.v * b.v);
}
__device__ __forceinline__ bool operator<(Real a, Real b) {
  return a.v < b.v;
}
__device__ __forceinline__ bool operator>(Real a, Real b) {
  return a.v > b.v;
}

__device__ __forceinline__ Real logistic(Real x) {
  constexpr float kLimit = 87;  // e^87 and e^-87 are normal numbers
  const bool is_zero = x.v < -kLimit;
  const float in_range = x.v > kLimit ? kLimit : is_zero ? -kLimit : x.v;
  const float d = 1 + exp_in_range(-in_range);
  const float y = approximate_reciprocal(d);
  return Real(is_zero ? 0 : fmaf(y, fmaf(-d, y, 1.0F), y));  // one step of Newton's method
}

__device__ __forceinline__ Real tanh(Real x) {
  constexpr float kPolynomial = 0.55F,
                  kOne = 10;  // polynomial up to the first; 1 from the second on
  const float size = fabsf(x.v), in_range = size > kOne ? kOne : size;
  const float large = fmaf(-2.0F, approximate_reciprocal(exp_in_range(2 * in_range) + 1), 1.0F);
  // The polynomial with the least relative error.
  const float z = size * size;
  float p = fmaf(0.0164375808F, z, -0.0526718125F);
  p = fmaf(p, z, 0.133207247F);
  p = fmaf(p, z, -0.333329469F);
  return Real(copysignf(size < kPolynomial ? fmaf(p * z, size, size) : large, x.v));
}

}  // namespace unroll::gpu
