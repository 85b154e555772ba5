/// GRU gate arithmetic for one unit of one sequence. There are two forms, whose weights are not
/// interchangeable:
///     r, z = logistic(W x + R h_prev + b)           h = z * h_prev + (1 - z) * n
///     reset before (Cho et al. 2014):  n = tanh(W x + b + R (r * h_prev))
///     reset after (cuDNN, PyTorch):    n = tanh(W x + b_w + r * q),  q = R h_prev + b_r
#pragma once

#include "unroll/cells/activations.h"

namespace unroll::cells {

/// Activated values, or gradients of the pre-activations. Only the `after` form uses q.
template <typename T>
struct GruGates {
  T r, z, n, q;
};

template <typename T>
UNROLL_HD T gru_mix(const T& z, const T& n, const T& h_prev) {
  return n + z * (h_prev - n);
}

/// Both forms: gradients of the pre-activations of z and n; dh_prev receives the direct path.
template <typename T>
UNROLL_HD void gru_mix_backward(const GruGates<T>& y, const T& h_prev, const T& dh, GruGates<T>& d,
                                T& dh_prev) {
  const T one(1);
  d.z = dh * (h_prev - y.n) * y.z * (one - y.z);
  d.n = dh * (one - y.z) * (one - y.n * y.n);
  dh_prev = dh * y.z;
}

/// reset=after. `x` holds W x + b_w (+ R h_prev + b_r for r and z), and q as above. Activates the
/// gates in place and returns h_t.
template <typename T>
UNROLL_HD T gru_after_forward(GruGates<T>& x, const T& h_prev) {
  using std::tanh;
  x.r = logistic(x.r);
  x.z = logistic(x.z);
  x.n = tanh(x.n + x.r * x.q);
  return gru_mix(x.z, x.n, h_prev);
}

/// reset=after. Gradients of the pre-activations r, z, n (with respect to W x + b_w) and of q (with
/// respect to R h_prev + b_r).
template <typename T>
UNROLL_HD GruGates<T> gru_after_backward(const GruGates<T>& y, const T& h_prev, const T& dh,
                                         T& dh_prev) {
  const T one(1);
  GruGates<T> d{};
  gru_mix_backward(y, h_prev, dh, d, dh_prev);
  d.r = d.n * y.q * y.r * (one - y.r);
  d.q = d.n * y.r;
  return d;
}

/// reset=before, between the two products: activates r and z; returns r * h_prev.
template <typename T>
UNROLL_HD T gru_before_reset(GruGates<T>& x, const T& h_prev) {
  x.r = logistic(x.r);
  x.z = logistic(x.z);
  return x.r * h_prev;
}

/// reset=before, after the second product. Returns h_t.
template <typename T>
UNROLL_HD T gru_before_forward(GruGates<T>& x, const T& h_prev) {
  using std::tanh;
  x.n = tanh(x.n);
  return gru_mix(x.z, x.n, h_prev);
}

/// reset=before. d_reset is the gradient of r * h_prev, that is R^T dn. Returns the gradient of the
/// pre-activation of r and adds to dh_prev.
template <typename T>
UNROLL_HD T gru_before_reset_backward(const T& r, const T& h_prev, const T& d_reset, T& dh_prev) {
  dh_prev = dh_prev + d_reset * r;
  return d_reset * h_prev * r * (T(1) - r);
}

}  // namespace unroll::cells
