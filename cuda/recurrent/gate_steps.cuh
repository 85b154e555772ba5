/// One timestep of a cell for `width` neighbouring units of one sequence: the formulas of
/// include/unroll/cells on packs, and the stores of the results. The gate kernels, which load the
/// sums, and the persistent kernels, which compute them, share it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda/kernels/pack.cuh"
#include "cuda/recurrent/gate_math.cuh"
#include "cuda/recurrent/gates.h"
#include "unroll/cells/program.h"
#include "unroll/math/philox.h"

namespace unroll::gpu {

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

/// cells::ForwardUnit for neighbouring units.
template <typename Cell, int width>
struct ForwardUnits {
  static constexpr int kSlots = Cell::kProgram.slots;
  Units<width> gate[kSlots], prev, state, result;
  bool live;  // the sequence has not ended; otherwise state and result are those of the step before

  template <int phase>
  __device__ __forceinline__ void run() {
#pragma unroll
    for (int k = 0; k < width; ++k) {
      cells::ForwardUnit<Real, kSlots> unit;
#pragma unroll
      for (int s = 0; s < kSlots; ++s) unit.gate[s] = Real(gate[s].v[k]);
      unit.prev = Real(prev.v[k]);
      Cell::template forward<phase>(unit);
#pragma unroll
      for (int s = 0; s < kSlots; ++s) gate[s].v[k] = unit.gate[s].v;
      state.v[k] = unit.state.v;
      result.v[k] = unit.result.v;
    }
  }
};

/// cells::BackwardUnit for neighbouring units.
template <typename Cell, int width>
struct BackwardUnits {
  static constexpr int kSlots = Cell::kProgram.slots;
  Units<width> gate[kSlots], prev, state, dh, dc, dreset;

  template <int phase>
  __device__ __forceinline__ void run() {
#pragma unroll
    for (int k = 0; k < width; ++k) {
      cells::BackwardUnit<Real, kSlots> unit;
#pragma unroll
      for (int s = 0; s < kSlots; ++s) unit.gate[s] = Real(gate[s].v[k]);
      unit.prev = Real(prev.v[k]);
      unit.state = Real(state.v[k]);
      unit.dh = Real(dh.v[k]);
      unit.dc = Real(dc.v[k]);
      unit.dreset = Real(dreset.v[k]);
      Cell::template backward<phase>(unit);
#pragma unroll
      for (int s = 0; s < kSlots; ++s) gate[s].v[k] = unit.gate[s].v;
      dh.v[k] = Cell::kProgram.has_direct ? unit.dh.v : 0;
      dc.v[k] = unit.dc.v;
    }
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

/// Whether the state is stored beside h. Without c the state is h, and in float32 it is the same
/// tensor.
template <typename Cell, typename E>
inline constexpr bool kOwnState = Cell::kProgram.has_c ||
                                  (Cell::kProgram.reads_state && !std::is_same_v<E, float>);

/// The state before the step. `Args` is ForwardCell or BackwardCell.
template <typename Cell, typename E, int width, typename Args>
__device__ __forceinline__ Units<width> previous_state(const Args& args, const UnitPlace& place) {
  if constexpr (!Cell::kProgram.reads_state)
    return {};
  else if constexpr (kOwnState<Cell, E>)
    return load_floats<width>(args.state_prev + place.at);
  else
    return load_floats<width>(static_cast<const E*>(args.h_prev) + place.at);
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

/// What all units of a launch share, and dropout_step() of it.
struct LaunchShape {
  const GateShape& args;
  std::uint64_t dropout_step;
};

/// Stores what becomes of h_t besides h itself: `out` as y and as the input of the layer above.
template <typename E, int width>
__device__ __forceinline__ void store_output(const LaunchShape& launch, const OutputSite& site,
                                             const UnitPlace& place, const Units<width>& out) {
  const GateShape& args = launch.args;
  if (site.y)
    store_first(site.y + place.row * site.y_row + place.unit, out, args.units - place.unit);
  if (site.above) {
    const Units<width> dropped =
        args.dropout > 0
            ? drop(out, draw_mask<width>(site.dropout, launch.dropout_step, place, args.dropout),
                   args.kept_scale)
            : out;
    store_rounded(static_cast<E*>(site.above) + place.row * site.above_row + place.unit, dropped);
  }
}

/// Stores all results of a step except gates and h: the state, h_n, c_n, y and the input of the
/// layer above.
template <typename E, typename Cell, int width>
__device__ __forceinline__ void store_outputs(const LaunchShape& launch, const ForwardCell& cell,
                                              const UnitPlace& place,
                                              const ForwardUnits<Cell, width>& units) {
  const GateShape& args = launch.args;
  constexpr bool kKeepsH = kOwnState<Cell, E> && !Cell::kProgram.has_c;  // h in float32
  if constexpr (kOwnState<Cell, E>) store(cell.state + place.at, units.state);
  const int left = args.units - place.unit;  // how many units are not padding
  if (cell.h_n)
    store_first(cell.h_n + std::int64_t(place.row) * args.units + place.unit,
                kKeepsH ? units.state : units.result, left);
  if (cell.c_n)
    store_first(cell.c_n + std::int64_t(place.row) * args.units + place.unit, units.state, left);
  store_output<E>(launch, cell, place, units.live ? units.result : Units<width>{});
}

/// Whether the gradients from outside the recurrence have to pass the dropout mask.
__device__ __forceinline__ bool drops_gradients(const GateShape& args, const GradientSite& cell) {
  return cell.dy_padded && args.dropout > 0;
}

/// The gradient of h_t from readers outside the recurrence, before dropout.
template <int width>
__device__ __forceinline__ Units<width> output_gradient(const GateShape& args,
                                                        const GradientSite& cell,
                                                        const UnitPlace& place) {
  if (!cell.dy) return {};
  const float* const from = cell.dy + place.row * cell.dy_row + place.unit;
  return cell.dy_padded ? load_floats<width>(from)
                        : load_first<width>(from, args.units - place.unit);
}

/// The whole gradient of h_t in a kernel that need not hide the loads.
template <int width>
__device__ __forceinline__ Units<width> whole_gradient(const GateShape& args,
                                                       const GradientSite& site,
                                                       const UnitPlace& place) {
  Units<width> dh = load_floats<width>(site.dh + place.at);
  Units<width> dy = output_gradient<width>(args, site, place);
  if (drops_gradients(args, site))
    dy = drop(dy, draw_mask<width>(site.dropout, dropout_step(args), place, args.dropout),
              args.kept_scale);
#pragma unroll
  for (int k = 0; k < width; ++k) dh.v[k] += dy.v[k];
  return dh;
}

}  // namespace unroll::gpu
