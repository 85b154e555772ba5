/// What a cell makes of one timestep, for `width` neighbouring units of one sequence: the
/// arithmetic of include/unroll/cells on packs, and where its results go. Shared by the gate
/// kernels, which find pre-activations in memory, and the persistent ones, which have them at hand.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda/gates.h"
#include "cuda/pack.cuh"
#include "unroll/cells/gru.h"
#include "unroll/cells/lstm.h"
#include "unroll/cells/philox.h"
#include "unroll/cells/rnn.h"

namespace unroll::gpu {

using cells::Activation;

/// Neighbouring units, which a thread works on.
template <int width>
using Units = Pack<float, width>;

/// The first `count` of a pack from any place, zeros for the rest.
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
struct Kept {
  bool v[width];
};

/// From logical index `index` on, which need not begin a Philox block.
template <int width>
__device__ __forceinline__ Kept<width> draw_kept(std::uint64_t key, std::uint64_t step,
                                                 std::uint64_t index, float rate) {
  static_assert(width <= 4);
  const std::uint32_t threshold = cells::dropout_threshold(rate);
  const cells::PhiloxBlock bits = cells::philox(key, step, index / 4);
  const int offset = int(index % 4);
  cells::PhiloxBlock more = bits;
  if (width > 1 && offset + width > 4) more = cells::philox(key, step, index / 4 + 1);
  Kept<width> kept;
#pragma unroll
  for (int k = 0; k < width; ++k) {
    // Not word[offset + k]: an index that is not known puts the words into slow memory.
    std::uint32_t word = 0;
#pragma unroll
    for (int w = 0; w < 3 + width; ++w)
      if (w == offset + k) word = w < 4 ? bits.word[w] : more.word[w - 4];
    kept.v[k] = word >= threshold;
  }
  return kept;
}

template <int width>
__device__ __forceinline__ Units<width> drop(const Units<width>& x, const Kept<width>& kept,
                                             float rate) {
  const float scale = 1 / (1 - rate);
  Units<width> y;
#pragma unroll
  for (int k = 0; k < width; ++k) y.v[k] = kept.v[k] ? x.v[k] * scale : 0;
  return y;
}

/// The steps of the cells. Each has
///   kSlots, kHasState
///   kFirst      the first slot that it needs
///   kFirstRaw   the first slot that is still without bias and activation
///   forward():  activates the gates x; returns h and, where there is one, the state
///   backward(): makes of the activated gates y the gradients of their pre-activations, from dh
///               (and dc); returns what reaches h_{t-1} past the products
template <Activation kind>
struct ElmanStep {
  static constexpr int kSlots = 1, kFirst = 0, kFirstRaw = 0;
  static constexpr bool kHasState = false;

  template <int width>
  static __device__ __forceinline__ Units<width> forward(Units<width> (&x)[kSlots],
                                                         const Units<width>&, Units<width>&) {
#pragma unroll
    for (int k = 0; k < width; ++k) x[0].v[k] = cells::rnn_forward<kind>(x[0].v[k]);
    return x[0];
  }

  template <int width>
  static __device__ __forceinline__ Units<width> backward(Units<width> (&y)[kSlots],
                                                          const Units<width>&, const Units<width>&,
                                                          const Units<width>& dh, Units<width>&) {
#pragma unroll
    for (int k = 0; k < width; ++k) y[0].v[k] = cells::rnn_backward<kind>(y[0].v[k], dh.v[k]);
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
      const auto y =
          cells::lstm_activate(cells::LstmGates<float>{x[0].v[k], x[1].v[k], x[2].v[k], x[3].v[k]});
      const auto state = cells::lstm_forward(y, c_prev.v[k]);
      x[0].v[k] = y.i;
      x[1].v[k] = y.f;
      x[2].v[k] = y.g;
      x[3].v[k] = y.o;
      h.v[k] = state.h;
      c.v[k] = state.c;
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
      const auto d =
          cells::lstm_backward(cells::LstmGates<float>{y[0].v[k], y[1].v[k], y[2].v[k], y[3].v[k]},
                               c_prev.v[k], c.v[k], dh.v[k], dc.v[k]);
      y[0].v[k] = d.i;
      y[1].v[k] = d.f;
      y[2].v[k] = d.g;
      y[3].v[k] = d.o;
    }
    return {};
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
      cells::GruGates<float> y{x[1].v[k], x[2].v[k], x[3].v[k], x[0].v[k]};
      state.v[k] = cells::gru_after_forward(y, h_prev.v[k]);
      x[1].v[k] = y.r;
      x[2].v[k] = y.z;
      x[3].v[k] = y.n;
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
      const auto d = cells::gru_after_backward(
          cells::GruGates<float>{y[1].v[k], y[2].v[k], y[3].v[k], y[0].v[k]}, h_prev.v[k], dh.v[k],
          dh_prev.v[k]);
      y[0].v[k] = d.q;
      y[1].v[k] = d.r;
      y[2].v[k] = d.z;
      y[3].v[k] = d.n;
    }
    return dh_prev;
  }
};

/// After the second product; r and z are activated already. Backward before the first.
struct GruBeforeMix {
  static constexpr int kSlots = 3, kFirst = 1, kFirstRaw = 2;  // r, z, n
  static constexpr bool kHasState = true;

  template <int width>
  static __device__ __forceinline__ Units<width> forward(Units<width> (&x)[kSlots],
                                                         const Units<width>& h_prev,
                                                         Units<width>& state) {
#pragma unroll
    for (int k = 0; k < width; ++k) {
      cells::GruGates<float> y{0, x[1].v[k], x[2].v[k], 0};
      state.v[k] = cells::gru_before_forward(y, h_prev.v[k]);
      x[2].v[k] = y.n;
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
      cells::GruGates<float> d{};
      cells::gru_mix_backward(cells::GruGates<float>{0, y[1].v[k], y[2].v[k], 0}, h_prev.v[k],
                              dh.v[k], d, dh_prev.v[k]);
      y[1].v[k] = d.z;
      y[2].v[k] = d.n;
    }
    return dh_prev;
  }
};

/// Where neighbouring units of one sequence lie.
struct Place {
  int row, unit;
  std::int64_t at;  // in an [N, Hp] tensor

  __device__ __forceinline__ Place(int row, int unit, int padded)
      : row(row), unit(unit), at(std::int64_t(row) * padded + unit) {}
};

/// Timesteps of a sequence, if all have less than T.
__device__ __forceinline__ std::int32_t length_of(const GateShape& args, int row) {
  return args.lengths ? args.lengths[row] : INT32_MAX;
}

template <typename Step>
inline constexpr bool kIsGru = Step::kHasState && !std::is_same_v<Step, LstmStep>;
/// Whether there is a state besides h: in float32 that of a GRU is its h.
template <typename Step, typename E>
inline constexpr bool kOwnState =
    Step::kHasState && !(std::is_same_v<E, float> && !std::is_same_v<Step, LstmStep>);

/// The state that a step begins with: c of an LSTM, h of a GRU. `Cell` is ForwardCell or
/// BackwardCell.
template <typename Step, typename E, int width, typename Cell>
__device__ __forceinline__ Units<width> previous_state(const Cell& cell, const Place& place) {
  if constexpr (!Step::kHasState)
    return {};
  else if constexpr (kOwnState<Step, E>)
    return load_floats<width>(cell.state_prev + place.at);
  else
    return load_floats<width>(static_cast<const E*>(cell.h_prev) + place.at);
}

/// The step that masks are drawn for, if there is dropout.
__device__ __forceinline__ std::uint64_t dropout_step(const GateShape& args) {
  return args.dropout > 0 ? std::uint64_t(*args.step) : 0;
}

/// Which of the outputs at a place dropout keeps.
template <int width>
__device__ __forceinline__ Kept<width> draw_kept(const DropoutSite& site, std::uint64_t step,
                                                 const Place& place, float rate) {
  return draw_kept<width>(
      site.key, step, std::uint64_t(site.index + place.row * site.row_index + place.unit), rate);
}

/// Everything that a step leaves behind but gates and h: the state, h_n, c_n, y and what the layer
/// above reads. A sequence that has ended is not `live`: h and state are those before.
template <typename Step, typename E, int width>
__device__ __forceinline__ void store_outputs(const GateShape& args, const ForwardCell& cell,
                                              const Place& place, const Units<width>& h,
                                              const Units<width>& state, bool live,
                                              std::uint64_t dropout_step) {
  if constexpr (kOwnState<Step, E>) store(cell.state + place.at, state);
  const int left = args.units - place.unit;  // units that are not padding, if positive
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
            ? drop(out, draw_kept<width>(cell.dropout, dropout_step, place, args.dropout),
                   args.dropout)
            : out;
    store_rounded(static_cast<E*>(cell.above) + place.row * cell.above_row + place.unit, dropped);
  }
}

/// Whether the gradients from outside the recurrence are of what dropout passed on.
__device__ __forceinline__ bool drops_gradients(const GateShape& args, const BackwardCell& cell) {
  return cell.dy_padded && args.dropout > 0;
}

/// The gradient of h_t from those outside the recurrence that read it, before dropout.
template <int width>
__device__ __forceinline__ Units<width> output_gradient(const GateShape& args,
                                                        const BackwardCell& cell,
                                                        const Place& place) {
  if (!cell.dy) return {};
  const float* const from = cell.dy + place.row * cell.dy_row + place.unit;
  return cell.dy_padded ? load_floats<width>(from)
                        : load_first<width>(from, args.units - place.unit);
}

}  // namespace unroll::gpu
