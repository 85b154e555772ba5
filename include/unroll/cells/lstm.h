/// The LSTM cell. Source: Hochreiter & Schmidhuber 1997, forget gate after Gers et al. 2000, no
/// peepholes:
///     i, f, o = logistic(z_i), logistic(z_f), logistic(z_o)     g = tanh(z_g)
///     c = f c_prev + i g                                        h = o tanh(c)
/// with z = W x + R h_prev + b. The input gate may depend on the forget gate, see InputGate.
///
/// Layer norm (Ba et al. 2016): with n(v) = (v - mean(v)) / sqrt(variance(v) + 1e-5) over all gates
/// and units of a sequence at a timestep, or over the units of c,
///     z = gain_ih n(W x) + bias_ih + gain_hh n(R h_prev) + bias_hh
///     h = o tanh(gain_c n(c) + bias_c)
/// The state c itself is not normalised.
#pragma once

#include "unroll/cell_kind.h"
#include "unroll/cells/activations.h"
#include "unroll/cells/program.h"

namespace unroll::cells {

/// Added to the variance in layer norm, as torch.nn.LayerNorm does.
inline constexpr float kNormEpsilon = 1e-5F;

/// What the backward pass needs of each n(v) besides its values: 1 / sqrt(variance(v) + 1e-5). One
/// sequence at one timestep has kNormScales of them.
inline constexpr int kScaleOfRh = 0, kScaleOfWx = 1, kScaleOfC = 2, kNormScales = 3;

/// The arithmetic of the gates. Arrays hold one value per gate, in the order of PyTorch and cuDNN:
/// i, f, g, o, or f, g, o if i is coupled.
template <InputGate form>
struct LstmGates {
  static constexpr bool kIsCoupled = form == InputGate::kCoupled;
  static constexpr int kCount = kIsCoupled ? 3 : 4;
  static constexpr int kI = 0, kF = kCount - 3, kG = kCount - 2, kO = kCount - 1;

  /// From sums to gates, in place.
  template <typename T>
  static UNROLL_HD void activate(T* z) {
    using std::tanh;
    if constexpr (!kIsCoupled) z[kI] = logistic(z[kI]);
    z[kF] = logistic(z[kF]);
    z[kG] = tanh(z[kG]);
    z[kO] = logistic(z[kO]);
  }

  /// What multiplies g.
  template <typename T>
  static UNROLL_HD T input(const T* y) {
    if constexpr (form == InputGate::kSeparate) return y[kI];
    const T rest = T(1) - y[kF];
    if constexpr (form == InputGate::kCoupled) return rest;
    return select(y[kI] > rest, rest, y[kI]);
  }

  /// c_t from the activated gates.
  template <typename T>
  static UNROLL_HD T next_state(const T* y, const T& c_prev) {
    return y[kF] * c_prev + input(y) * y[kG];
  }

  /// From activated gates to the gradients of the sums, in place, except o's. dc: gradient of c_t
  /// on entry, of c_{t-1} on return.
  template <typename T>
  static UNROLL_HD void state_backward(T* y, const T& c_prev, T& dc) {
    const T one(1), i = input(y), g = y[kG], f = y[kF];
    const T df_separate = dc * c_prev * f * (one - f);
    if constexpr (form == InputGate::kSeparate) {
      y[kI] = dc * g * i * (one - i);
      y[kF] = df_separate;
    } else {
      const T df_bound = dc * (c_prev - g) * f * (one - f);
      if constexpr (form == InputGate::kCapped) {
        const T rest = one - f;
        y[kF] = select(y[kI] > rest, df_bound, df_separate);
        y[kI] = select(y[kI] > rest, T(0), dc * g * i * (one - i));
      } else {
        y[kF] = df_bound;
      }
    }
    y[kG] = dc * i * (one - g * g);
    dc = dc * f;
  }
};

template <InputGate form>
struct Lstm {
  using Gates = LstmGates<form>;
  static constexpr int kSlots = Gates::kCount;
  static constexpr CellProgram kProgram{
      .gates = kSlots,
      .slots = kSlots,
      .first_x = 0,
      .has_c = true,
      .reads_state = true,
      .has_direct = false,
      .is_normalised = false,
      .phase_count = 1,
      .phases = {{0, kSlots, 0, false, kSlots, 0, kSlots}},
  };

  template <int phase, typename T>
  static UNROLL_HD void forward(ForwardUnit<T, kSlots>& u) {
    using std::tanh;
    Gates::activate(u.gate);
    u.state = Gates::next_state(u.gate, u.prev);
    u.result = u.gate[Gates::kO] * tanh(u.state);
  }

  template <int phase, typename T>
  static UNROLL_HD void backward(BackwardUnit<T, kSlots>& u) {
    using std::tanh;
    const T one(1), tanh_c = tanh(u.state), o = u.gate[Gates::kO];
    u.dc = u.dc + u.dh * o * (one - tanh_c * tanh_c);
    u.gate[Gates::kO] = u.dh * tanh_c * o * (one - o);
    Gates::state_backward(u.gate, u.prev, u.dc);
  }
};

/// The same with layer norm. Slots: n(R h), then n(W x), then the gates, G each; backward the
/// gradients of R h, of W x, and of the sums z. The units of a row depend on each other, so
/// backends have kernels of their own for it, which normalise rows between these steps.
template <InputGate form>
struct LayerNormLstm {
  using Gates = LstmGates<form>;
  static constexpr int kGates = Gates::kCount, kX = kGates, kZ = 2 * kGates, kSlots = 3 * kGates;
  static constexpr CellProgram kProgram{
      .gates = kGates,
      .slots = kSlots,
      .first_x = kX,
      .has_c = true,
      .reads_state = true,
      .has_direct = false,
      .is_normalised = true,
      .phase_count = 1,
      .phases = {{0, kGates, 0, false, kSlots, 0, kSlots}},
  };

  /// From n(c), its gain and bias to h_t.
  template <typename T>
  static UNROLL_HD T output(const T& o, const T& normalised) {
    using std::tanh;
    return o * tanh(normalised);
  }

  /// Backward through output(). Returns the gradient of `normalised`; o becomes that of its sum.
  template <typename T>
  static UNROLL_HD T output_backward(T& o, const T& normalised, const T& dh) {
    using std::tanh;
    const T one(1), y = tanh(normalised), gate = o;
    o = dh * y * gate * (one - gate);
    return dh * gate * (one - y * y);
  }
};

}  // namespace unroll::cells
