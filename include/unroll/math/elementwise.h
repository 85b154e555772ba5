/// Functions of one element beside the activations in cells/, and their derivatives. T is float in
/// CUDA kernels, a vector of floats in the CPU kernels, or another type of number.
/// Argument-dependent lookup finds the exp, erfc, select and others that belong to T.
#pragma once

#include <cmath>

#include "unroll/host_device.h"
#include "unroll/math/convert.h"

namespace unroll::math {

/// A vector type provides its own select() for its own masks.
template <typename T>
UNROLL_HD T select(bool condition, const T& yes, const T& no) {
  return condition ? yes : no;
}

/// NaN if either is NaN.
template <typename T>
UNROLL_HD T maximum(const T& a, const T& b) {
  return select((a < b) | (b != b), b, a);
}
template <typename T>
UNROLL_HD T minimum(const T& a, const T& b) {
  return select((b < a) | (b != b), b, a);
}

/// d maximum(a, b) / da: two that are equal share it.
template <typename T>
UNROLL_HD T maximum_share(const T& a, const T& b) {
  const T less = select(a < b, T(0), a + b);  // NaN where either is NaN
  return select(b < a, T(1), select(a == b, T(0.5f), less));
}

/// NaN passes through.
template <typename T>
UNROLL_HD T clip(const T& x, const T& low, const T& high) {
  return select(x < low, low, select(high < x, high, x));
}

/// Whether x comes before y where the greatest, or the least, is looked for: NaN comes first. Of
/// two that are equal, or both NaN, neither does.
template <bool greatest, typename T>
UNROLL_HD bool beats(const T& x, const T& y) {
  return (greatest ? y < x : x < y) || (x != x && y == y);
}

/// What the greatest, or the least, of no numbers is.
template <bool greatest, typename T>
UNROLL_HD T worst() {
  return greatest ? Limits<T>::kLeast : Limits<T>::kMost;
}

/// 0 at 0; NaN passes through.
template <typename T>
UNROLL_HD T sign(const T& x) {
  return select(x < T(0), T(-1), select(T(0) < x, T(1), x));
}

template <typename T>
UNROLL_HD T leaky_relu(const T& x, const T& slope) {
  return select(x < T(0), slope * x, x);
}

/// P(X < x) for a standard normal X.
template <typename T>
UNROLL_HD T normal_probability(const T& x) {
  using std::erfc;
  return T(0.5f) * erfc(x * T(-0.70710678118654752f));
}

/// Source    Hendrycks & Gimpel 2016. Below -20 it is 0 in float32; there -infinity times 0 would
/// be
///           NaN.
template <typename T>
UNROLL_HD T gelu(const T& x) {
  return select(x < T(-20), T(0), x * normal_probability(x));
}

/// Beyond 20 it is 0 or 1 in float32.
template <typename T>
UNROLL_HD T gelu_slope(const T& x) {
  using std::exp;
  const T near = clip(x, T(-20), T(20));
  const T density = T(0.39894228040143268f) * exp(T(-0.5f) * near * near);
  return normal_probability(near) + near * density;
}

/// ln(1 + e^x). The exponential never overflows.
template <typename T>
UNROLL_HD T softplus(const T& x) {
  using std::exp, std::log1p;
  return select(x < T(0), T(0), x) + log1p(exp(select(x < T(0), x, -x)));
}

/// d a^b / da; 0 for b = 0, also at a = 0.
template <typename T>
UNROLL_HD T power_base_slope(const T& a, const T& b) {
  using std::pow;
  return select(b == T(0), T(0), b * pow(a, b - T(1)));
}

/// d a^b / db; 0 for a = 0 <= b, its limit for b > 0.
template <typename T>
UNROLL_HD T power_exponent_slope(const T& a, const T& b) {
  using std::log, std::pow;
  return select((a == T(0)) & (T(0) <= b), T(0), pow(a, b) * log(a));
}

}  // namespace unroll::math
