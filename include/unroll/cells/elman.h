/// The Elman cell, h_t = g(W x_t + R h_{t-1} + b).
/// Source: Elman 1990; torch.nn.RNN when b is the sum of its two bias vectors.
#pragma once

#include "unroll/cells/activations.h"
#include "unroll/cells/program.h"

namespace unroll::cells {

template <Activation kind>
struct Elman {
  static constexpr CellProgram kProgram{
      .gates = 1,
      .slots = 1,
      .first_x = 0,
      .has_c = false,
      .reads_state = false,
      .has_direct = false,
      .is_normalised = false,
      .phase_count = 1,
      .phases = {{0, 1, 0, false, 1, 0, 1}},
  };

  template <int phase, typename T>
  static UNROLL_HD void forward(ForwardUnit<T, 1>& u) {
    u.result = u.gate[0] = activate<kind>(u.gate[0]);
  }

  template <int phase, typename T>
  static UNROLL_HD void backward(BackwardUnit<T, 1>& u) {
    u.gate[0] = u.dh * derivative<kind>(u.gate[0]);
  }
};

}  // namespace unroll::cells
