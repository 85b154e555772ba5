/// LSTM gate arithmetic: everything after the two matrix products, for one unit of one sequence.
/// Source: Hochreiter & Schmidhuber 1997, forget gate after Gers et al. 2000, no peepholes:
///     i, f, o = logistic(z_i), logistic(z_f), logistic(z_o)     g = tanh(z_g)
///     c = f * c_prev + i * g                                    h = o * tanh(c)
#pragma once

#include "unroll/cells/activations.h"

namespace unroll::cells {

/// One value per gate, in the order of PyTorch and cuDNN: the pre-activations, the activated gates,
/// or the gradients of the pre-activations.
template <typename T>
struct LstmGates {
  T i, f, g, o;
};

template <typename T>
struct LstmState {
  T h, c;
};

template <typename T>
UNROLL_HD LstmGates<T> lstm_activate(const LstmGates<T>& z) {
  using std::tanh;
  return {logistic(z.i), logistic(z.f), tanh(z.g), logistic(z.o)};
}

/// y: activated gates. Returns h_t and c_t.
template <typename T>
UNROLL_HD LstmState<T> lstm_forward(const LstmGates<T>& y, const T& c_prev) {
  using std::tanh;
  const T c = y.f * c_prev + y.i * y.g;
  return {y.o * tanh(c), c};
}

/// y: activated gates; dh: gradient of h_t, summed over its uses; dc: gradient of c_t from step t+1
/// on entry, of c_{t-1} on return. Returns the gradients of the pre-activations.
template <typename T>
UNROLL_HD LstmGates<T> lstm_backward(const LstmGates<T>& y, const T& c_prev, const T& c,
                                     const T& dh, T& dc) {
  using std::tanh;
  const T one(1), tanh_c = tanh(c);
  const T dc_total = dc + dh * y.o * (one - tanh_c * tanh_c);
  dc = dc_total * y.f;
  return {dc_total * y.g * y.i * (one - y.i), dc_total * c_prev * y.f * (one - y.f),
          dc_total * y.i * (one - y.g * y.g), dh * tanh_c * y.o * (one - y.o)};
}

}  // namespace unroll::cells
