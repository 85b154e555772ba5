/// The Elman cell, h_t = g(W x_t + R h_{t-1} + b): everything after the two matrix products.
/// Source: Elman 1990; torch.nn.RNN when b is the sum of its two bias vectors.
#pragma once

#include "unroll/cells/activations.h"

namespace unroll::cells {

/// z: W x_t + R h_{t-1} + b. Returns h_t.
template <Activation kind, typename T>
UNROLL_HD T rnn_forward(const T& z) {
  return activate<kind>(z);
}

/// h: the result of the forward step. Returns the gradient of z.
template <Activation kind, typename T>
UNROLL_HD T rnn_backward(const T& h, const T& dh) {
  return dh * derivative<kind>(h);
}

}  // namespace unroll::cells
