/// In place of cuda/approximate.cuh: this folder comes first where the emulation is compiled.
#pragma once

#include <cmath>

namespace unroll::gpu {

/// By which part of the documented error the instructions are off: a test may set it to any number
/// in [-1, 1].
struct ApproximateErrors {
  double exp2 = 0, reciprocal = 0;
};
inline ApproximateErrors approximate_errors;

inline float approximate_exp2(float x) {
  const auto y = float(std::exp2(double(x)) * (1 + approximate_errors.exp2 * 0x1p-22));
  return y < 0x1p-126F ? 0 : y;  // NaN is not
}
inline float approximate_reciprocal(float x) {
  return float(1 / double(x) * (1 + approximate_errors.reciprocal * 0x1p-23));
}

}  // namespace unroll::gpu
