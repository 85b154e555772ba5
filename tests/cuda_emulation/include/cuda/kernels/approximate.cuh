/// In place of cuda/kernels/approximate.cuh: this folder comes first where the emulation is
/// compiled.
#pragma once

#include <cmath>

namespace unroll::gpu {

/// By which part of the documented error the instructions are off: a test may set it to any number
/// in [-1, 1].
struct ApproximateErrors {
  double exp2 = 0, reciprocal = 0;
};
inline ApproximateErrors approximate_errors;

/// The float nearest to a value that is off by `part` of the largest error, both relative; if that
/// is off by more, the next one towards the exact value.
inline float approximate(double exact, double part, double largest) {
  const auto y = float(exact * (1 + part * largest));
  const bool is_off = std::abs(double(y) - exact) > largest * std::abs(exact);
  return is_off ? std::nextafter(y, float(exact)) : y;
}

inline float approximate_exp2(float x) {
  const float y = approximate(std::exp2(double(x)), approximate_errors.exp2, 0x1p-22);
  return y < 0x1p-126F ? 0 : y;  // NaN is not
}
inline float approximate_reciprocal(float x) {
  return approximate(1 / double(x), approximate_errors.reciprocal, 0x1p-23);
}

}  // namespace unroll::gpu
