/// One timestep of a cell for `width` neighbouring units of one sequence: the formulas of
/// include/unroll/cells on packs, and the stores of the results. The gate kernels, which load
/// pre-activations, and the persistent kernels, which compute them, share it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda/kernels/pack.cuh"
#include "cuda/recurrent/gate_math.cuh"
#include "cuda/recurrent/gates.h"
#include "unroll/cells/gru.h"
#include "unroll/cells/lstm.h"
#include "unroll/cells/rnn.h"
#include "unroll/math/philox.h"

namespace unroll::gpu {

using cells::Activation;

/// Neighbouring units, processed by one thread.
template <int width>
using Units = Pack<float, width>;

/// Loads the first `count` elements of a pack from any address; the rest are zeros.
template <int width>
__device__ __forceinline__ Units<width> load_first(const float* from, int count) {
  Units<width> x{};
#pragma unroll
  for (int k = 0; k < width; ++k)
    if (k < count) x.v[k] = from[k];
  return x;
}

template <int width>
__device__ __forceinline__ void store_first(float* to, const Units<width>& x, int count) {
#pragma unroll
  for (int k = 0; k < width; ++k)
    if (k < count) to[k] = x.v[k];
}

/// Which of up to four elements dropout keeps.
template <int width>
struct DropoutMask {
  bool v[width];
};

/// The mask from logical index `index` on, which need not begin a Philox block.
template <int width>
__device__ __forceinline__ DropoutMask<width> draw_mask(std::uint64_t key, std::uint64_t step,
                                                        std::uint64_t index, float rate) {
  static_assert(width <= 4);
  const std::uint32_t threshold = math::dropout_threshold(rate);
  const math::PhiloxBlock bits = math::philox(key, step, index / 4);
  const int offset = int(index % 4);
  math::PhiloxBlock more = bits;
  if (width > 1 && offset + width > 4) more = math::philox(key, step, index / 4 + 1);
  DropoutMask<width> mask;
#pragma unroll
  for (int k = 0; k < width; ++k) {
    // Not word[offset + k]: a variable index would move the words to local memory.
    std::uint32_t word = 0;
#pragma unroll
    for (int w = 0; w < 3 + width; ++w)
      if (w == offset + k) word = w < 4 ? bits.word[w] : more.word[w - 4];
    mask.v[k] = word >= threshold;
  }
  return mask;
}

template <int width>
__device__ __forceinline__ Units<width> drop(const Units<width>& x, const DropoutMask<width>& mask,
                                             float scale) {
  Units<width> y;
#pragma unroll
  for (int k = 0; k < width; ++k) y.v[k] = mask.v[k] ? x.v[k] * scale : 0;
  return y;
}

/// The steps of the cells. Each has
///   kSlots, kHasState
///   kFirst      the first slot that it needs
///   kFirstRaw   the first slot that still lacks bias and activation
///   forward():  activates the gates x; returns h and, if there is one, the state
///   backward(): turns the activated gates y into the gradients of their pre-activations, given dh
///   (and dc); returns the part of the gradient of h_{t-1} that does not go through the products
template <Activation kind>
struct ElmanStep {
  static constexpr int kSlots = 1, kFirst = 0, kFirstRaw = 0;
  static constexpr bool kHasState = false;

  template <int width>
  static __device__ __forceinline__ Units<width> forward(Units<width> (&x)[kSlots],
                                                         const Units<width>&, Units<width>&) {
#pragma unroll
    for (int k = 0; k < width; ++k) x[0].v[k] = cells::rnn_forward<kind>(Real(x[0].v[k])).v;
    return x[0];
  }

  template <int width>
  static __device__ __forceinline__ Units<width> backward(Units<width> (&y)[kSlots],
                                                          const Units<width>&, const Units<width>&,
                                                          const Units<width>& dh, Units<width>&) {
#pragma unroll
    for (int k = 0; k < width; ++k)
      y[0].v[k] = cells::rnn_backward<kind>(Real(y[0].v[k]), Real(dh.v[k])).v;
    return {};
  }
};

struct LstmStep {
  static constexpr int kSlots = 4, kFirst = 0, kFirstRaw = 0;  // i, f, g, o
  static constexpr bool kHasState = true;

  template <int width>
  static __device__ __forceinline__ Units<width> forward(Units<width> (&x)[kSlots],
                                                         const Units<width>& c_prev,
                                                         Units<width>& c) {
    Units<width> h;
#pragma unroll
    for (int k = 0; k < width; ++k) {
      const auto y = cells::lstm_activate(gates(x, k));
      const auto state = cells::lstm_forward(y, Real(c_prev.v[k]));
      set(x, k, y);
      h.v[k] = state.h.v;
      c.v[k] = state.c.v;
    }
    return h;
  }

  template <int width>
  static __device__ __forceinline__ Units<width> backward(Units<width> (&y)[kSlots],
                                                          const Units<width>& c_prev,
                                                          const Units<width>& c,
                                                          const Units<width>& dh,
                                                          Units<width>& dc) {
#pragma unroll
    for (int k = 0; k < width; ++k) {
      Real carried(dc.v[k]);
      set(y, k,
          cells::lstm_backward(gates(y, k), Real(c_prev.v[k]), Real(c.v[k]), Real(dh.v[k]),
                               carried));
      dc.v[k] = carried.v;
    }
    return {};
  }

 private:
  template <int width>
  static __device__ __forceinline__ cells::LstmGates<Real> gates(const Units<width> (&x)[kSlots],
                                                                 int k) {
    return {Real(x[0].v[k]), Real(x[1].v[k]), Real(x[2].v[k]), Real(x[3].v[k])};
  }
  template <int width>
  static __device__ __forceinline__ void set(Units<width> (&x)[kSlots], int k,
                                             const cells::LstmGates<Real>& gates) {
    x[0].v[k] = gates.i.v;
    x[1].v[k] = gates.f.v;
    x[2].v[k] = gates.g.v;
    x[3].v[k] = gates.o.v;
  }
};

struct GruAfterStep {
  static constexpr int kSlots = 4, kFirst = 0, kFirstRaw = 0;  // q, r, z, n
  static constexpr bool kHasState = true;

  template <int width>
  static __device__ __forceinline__ Units<width> forward(Units<width> (&x)[kSlots],
                                                         const Units<width>& h_prev,
                                                         Units<width>& state) {
#pragma unroll
    for (int k = 0; k < width; ++k) {
      cells::GruGates<Real> y = gates(x, k);
      state.v[k] = cells::gru_after_forward(y, Real(h_prev.v[k])).v;
      set(x, k, y);
    }
    return state;
  }

  template <int width>
  static __device__ __forceinline__ Units<width> backward(Units<width> (&y)[kSlots],
                                                          const Units<width>& h_prev,
                                                          const Units<width>&,
                                                          const Units<width>& dh, Units<width>&) {
    Units<width> dh_prev;
#pragma unroll
    for (int k = 0; k < width; ++k) {
      Real direct;
      set(y, k, cells::gru_after_backward(gates(y, k), Real(h_prev.v[k]), Real(dh.v[k]), direct));
      dh_prev.v[k] = direct.v;
    }
    return dh_prev;
  }

 private:
  template <int width>
  static __device__ __forceinline__ cells::GruGates<Real> gates(const Units<width> (&x)[kSlots],
                                                                int k) {
    return {Real(x[1].v[k]), Real(x[2].v[k]), Real(x[3].v[k]), Real(x[0].v[k])};
  }
  template <int width>
  static __device__ __forceinline__ void set(Units<width> (&x)[kSlots], int k,
                                             const cells::GruGates<Real>& gates) {
    x[0].v[k] = gates.q.v;
    x[1].v[k] = gates.r.v;
    x[2].v[k] = gates.z.v;
    x[3].v[k] = gates.n.v;
  }
};

/// Forward it follows the second product, and r and z are already activated. Backward it precedes
/// the first product.
struct GruBeforeMix {
  static constexpr int kSlots = 3, kFirst = 1, kFirstRaw = 2;  // r, z, n
  static constexpr bool kHasState = true;

  template <int width>
  static __device__ __forceinline__ Units<width> forward(Units<width> (&x)[kSlots],
                                                         const Units<width>& h_prev,
                                                         Units<width>& state) {
#pragma unroll
    for (int k = 0; k < width; ++k) {
      cells::GruGates<Real> y{Real(), Real(x[1].v[k]), Real(x[2].v[k]), Real()};
      state.v[k] = cells::gru_before_forward(y, Real(h_prev.v[k])).v;
      x[2].v[k] = y.n.v;
    }
    return state;
  }

  template <int width>
  static __device__ __forceinline__ Units<width> backward(Units<width> (&y)[kSlots],
                                                          const Units<width>& h_prev,
                                                          const Units<width>&,
                                                          const Units<width>& dh, Units<width>&) {
    Units<width> dh_prev;
#pragma unroll
    for (int k = 0; k < width; ++k) {
      cells::GruGates<Real> d{};
      Real direct;
      cells::gru_mix_backward({Real(), Real(y[1].v[k]), Real(y[2].v[k]), Real()}, Real(h_prev.v[k]),
                              Real(dh.v[k]), d, direct);
      dh_prev.v[k] = direct.v;
      y[1].v[k] = d.z.v;
      y[2].v[k] = d.n.v;
    }
    return dh_prev;
  }
};

/// The place of neighbouring units of one sequence.
struct UnitPlace {
  int row, unit;
  std::int64_t at;  // offset in an [N, Hp] tensor

  __device__ __forceinline__ UnitPlace(int row, int unit, int padded)
      : row(row), unit(unit), at(std::int64_t(row) * padded + unit) {}
};

/// The number of timesteps of a sequence; T if there are no lengths.
__device__ __forceinline__ std::int32_t length_of(const GateShape& args, int row) {
  return args.lengths ? args.lengths[row] : INT32_MAX;
}

template <typename Step>
inline constexpr bool kIsGru = Step::kHasState && !std::is_same_v<Step, LstmStep>;
/// Whether the state is stored beside h. In float32 the state of a GRU is h itself.
template <typename Step, typename E>
inline constexpr bool kOwnState =
    Step::kHasState && !(std::is_same_v<E, float> && !std::is_same_v<Step, LstmStep>);

/// The state before the step: c of an LSTM, h of a GRU. `Cell` is ForwardCell or BackwardCell.
template <typename Step, typename E, int width, typename Cell>
__device__ __forceinline__ Units<width> previous_state(const Cell& cell, const UnitPlace& place) {
  if constexpr (!Step::kHasState)
    return {};
  else if constexpr (kOwnState<Step, E>)
    return load_floats<width>(cell.state_prev + place.at);
  else
    return load_floats<width>(static_cast<const E*>(cell.h_prev) + place.at);
}

/// The number of the training step, for dropout masks; 0 without dropout.
__device__ __forceinline__ std::uint64_t dropout_step(const GateShape& args) {
  return args.dropout > 0 ? std::uint64_t(*args.step) : 0;
}

/// The dropout mask of the outputs at a place.
template <int width>
__device__ __forceinline__ DropoutMask<width> draw_mask(const DropoutSite& site, std::uint64_t step,
                                                        const UnitPlace& place, float rate) {
  return draw_mask<width>(
      site.key, step, std::uint64_t(site.index + place.row * site.row_index + place.unit), rate);
}

/// Stores all results of a step except gates and h: the state, h_n, c_n, y and the input of the
/// layer above. If the sequence has ended, `live` is false, and h and state are those of the step
/// before.
template <typename Step, typename E, int width>
__device__ __forceinline__ void store_outputs(const GateShape& args, const ForwardCell& cell,
                                              const UnitPlace& place, const Units<width>& h,
                                              const Units<width>& state, bool live,
                                              std::uint64_t dropout_step) {
  if constexpr (kOwnState<Step, E>) store(cell.state + place.at, state);
  const int left = args.units - place.unit;  // how many units are not padding
  if (cell.h_n)
    store_first(cell.h_n + std::int64_t(place.row) * args.units + place.unit,
                kOwnState<Step, E> && kIsGru<Step> ? state : h, left);
  if (cell.c_n)
    store_first(cell.c_n + std::int64_t(place.row) * args.units + place.unit, state, left);
  const Units<width> out = live ? h : Units<width>{};
  if (cell.y) store_first(cell.y + place.row * cell.y_row + place.unit, out, left);
  if (cell.above) {
    const Units<width> dropped =
        args.dropout > 0
            ? drop(out, draw_mask<width>(cell.dropout, dropout_step, place, args.dropout),
                   args.kept_scale)
            : out;
    store_rounded(static_cast<E*>(cell.above) + place.row * cell.above_row + place.unit, dropped);
  }
}

/// Whether the gradients from outside the recurrence have to pass the dropout mask.
__device__ __forceinline__ bool drops_gradients(const GateShape& args, const BackwardCell& cell) {
  return cell.dy_padded && args.dropout > 0;
}

/// The gradient of h_t from readers outside the recurrence, before dropout.
template <int width>
__device__ __forceinline__ Units<width> output_gradient(const GateShape& args,
                                                        const BackwardCell& cell,
                                                        const UnitPlace& place) {
  if (!cell.dy) return {};
  const float* const from = cell.dy + place.row * cell.dy_row + place.unit;
  return cell.dy_padded ? load_floats<width>(from)
                        : load_first<width>(from, args.units - place.unit);
}

}  // namespace unroll::gpu
