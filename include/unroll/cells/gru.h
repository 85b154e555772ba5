/// The GRU cell. There are two forms, whose weights are not interchangeable:
///     r, z = logistic(W x + R h_prev + b)           h = z h_prev + (1 - z) n
///     reset before (Cho et al. 2014):  n = tanh(W x + b + R (r h_prev))
///     reset after (cuDNN, PyTorch):    n = tanh(W x + b_w + r q),  q = R h_prev + b_r
#pragma once

#include "unroll/cells/activations.h"
#include "unroll/cells/program.h"

namespace unroll::cells {

/// h_t in both forms.
template <typename T>
UNROLL_HD T gru_mix(const T& z, const T& n, const T& h_prev) {
  return n + z * (h_prev - n);
}

/// Backward through gru_mix(). z and n become the gradients of their sums. dh is the gradient of
/// h_t on entry, and the direct part of the gradient of h_{t-1} on return.
template <typename T>
UNROLL_HD void gru_mix_backward(T& z, T& n, const T& h_prev, T& dh) {
  const T one(1);
  const T dz = dh * (h_prev - n) * z * (one - z);
  const T dn = dh * (one - z) * (one - n * n);
  dh = dh * z;
  z = dz;
  n = dn;
}

/// Slots: q, r, z, n. So the gates that W feeds (r, z, n) are neighbours, and so are those that R
/// feeds (q, r, z).
struct GruAfter {
  static constexpr int kQ = 0, kR = 1, kZ = 2, kN = 3;
  static constexpr int kGateN = 2;  // of r, z, n: R's product with it is q
  static constexpr CellProgram kProgram{
      .gates = 3,
      .slots = 4,
      .first_x = kR,
      .has_c = false,
      .reads_state = true,
      .has_direct = true,
      .is_normalised = false,
      .phase_count = 1,
      .phases = {{0, 3, kGateN, false, 4, 0, 4}},
  };

  template <int phase, typename T>
  static UNROLL_HD void forward(ForwardUnit<T, 4>& u) {
    using std::tanh;
    u.gate[kR] = logistic(u.gate[kR]);
    u.gate[kZ] = logistic(u.gate[kZ]);
    u.gate[kN] = tanh(u.gate[kN] + u.gate[kR] * u.gate[kQ]);
    u.result = u.state = gru_mix(u.gate[kZ], u.gate[kN], u.prev);
  }

  template <int phase, typename T>
  static UNROLL_HD void backward(BackwardUnit<T, 4>& u) {
    const T one(1), r = u.gate[kR];
    gru_mix_backward(u.gate[kZ], u.gate[kN], u.prev, u.dh);
    u.gate[kR] = u.gate[kN] * u.gate[kQ] * r * (one - r);
    u.gate[kQ] = u.gate[kN] * r;
  }
};

/// Slots: r, z, n. The first phase computes r, z and r h_{t-1}, the second n and h_t.
struct GruBefore {
  static constexpr int kR = 0, kZ = 1, kN = 2;
  static constexpr CellProgram kProgram{
      .gates = 3,
      .slots = 3,
      .first_x = 0,
      .has_c = false,
      .reads_state = true,
      .has_direct = true,
      .is_normalised = false,
      .phase_count = 2,
      .phases = {{kR, 2, 0, false, 2, kR, kZ}, {kN, 1, 2, true, 3, kZ, 3}},
  };

  template <int phase, typename T>
  static UNROLL_HD void forward(ForwardUnit<T, 3>& u) {
    using std::tanh;
    if constexpr (phase == 0) {
      u.gate[kR] = logistic(u.gate[kR]);
      u.gate[kZ] = logistic(u.gate[kZ]);
      u.result = u.gate[kR] * u.prev;
    } else {
      u.gate[kN] = tanh(u.gate[kN]);
      u.result = u.state = gru_mix(u.gate[kZ], u.gate[kN], u.prev);
    }
  }

  template <int phase, typename T>
  static UNROLL_HD void backward(BackwardUnit<T, 3>& u) {
    if constexpr (phase == 1) {
      gru_mix_backward(u.gate[kZ], u.gate[kN], u.prev, u.dh);
    } else {
      const T r = u.gate[kR];
      u.dh = u.dh + u.dreset * r;
      u.gate[kR] = u.dreset * u.prev * r * (T(1) - r);
    }
  }
};

}  // namespace unroll::cells
