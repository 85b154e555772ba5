/// Replaces cuda/kernels/approximate.cuh: the emulation is compiled with this folder first.
#pragma once

#include <cmath>

namespace unroll::gpu {

/// The part of the documented error that the instructions have: a test may set it to any number in
/// [-1, 1].
struct ApproximateErrors {
  double exp2 = 0, reciprocal = 0;
};
inline ApproximateErrors approximate_errors;

/// The float nearest to a value with a relative error of `part` times the largest; if that float
/// has a larger error, the next one towards the exact value.
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
