/// Activations, and their derivatives as functions of the activated value. T is float or gpu::Real
/// in CUDA kernels, a vector of floats in the CPU kernels, and double in tests. Argument-dependent
/// lookup finds the exp, tanh, logistic and select that belong to T.
#pragma once

#include <cmath>

#include "unroll/host_device.h"

namespace unroll::cells {

template <typename T>
UNROLL_HD T logistic(const T& x) {
  using std::exp;
  return T(1) / (T(1) + exp(-x));
}

/// A vector type provides its own select() for its own masks.
template <typename T>
UNROLL_HD T select(bool condition, const T& yes, const T& no) {
  return condition ? yes : no;
}

/// NaN passes through.
template <typename T>
UNROLL_HD T relu(const T& x) {
  return select(x < T(0), T(0), x);
}

enum class Activation { kTanh, kRelu, kLogistic };

template <Activation kind, typename T>
UNROLL_HD T activate(const T& x) {
  using std::tanh;
  if constexpr (kind == Activation::kTanh) return tanh(x);
  if constexpr (kind == Activation::kRelu) return relu(x);
  if constexpr (kind == Activation::kLogistic) return logistic(x);
}

/// d activate(x) / dx, given y = activate(x).
template <Activation kind, typename T>
UNROLL_HD T derivative(const T& y) {
  if constexpr (kind == Activation::kTanh) return T(1) - y * y;
  if constexpr (kind == Activation::kRelu) return select(y > T(0), T(1), T(0));
  if constexpr (kind == Activation::kLogistic) return y * (T(1) - y);
}

}  // namespace unroll::cells
