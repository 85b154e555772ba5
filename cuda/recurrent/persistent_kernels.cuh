/// The persistent kernels. A block loads its weights once. In each timestep it loads the data that
/// do not depend on the recurrence, waits until all blocks of its group have published the timestep
/// before, streams their data through shared memory, multiplies, computes its gates from the sums,
/// and publishes the results.
///
/// Exchanged values are never read through L1: the copies into shared memory bypass it. All other
/// data that a thread reads was written by an earlier kernel or by the thread itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cuda/kernels/grid_exchange.cuh"
#include "cuda/recurrent/gate_steps.cuh"
#include "cuda/recurrent/persistent.h"
#include "cuda/recurrent/persistent_block.cuh"

namespace unroll::gpu {

/// As in GateSlots: how many slots, from 0 on, R feeds, and the first slot that W feeds.
template <typename Step>
inline constexpr int kSlotsOfR = std::is_same_v<Step, GruAfterStep> ? 3 : Step::kSlots;
template <typename Step>
inline constexpr int kFirstOfW = std::is_same_v<Step, GruAfterStep> ? 1 : 0;

/// The part that is the same for cells of both passes.
template <typename Step, typename E, typename Cell>
__device__ __forceinline__ void advance_common(Cell& cell, const CellMove& move) {
  cell.gates += move.elements * Step::kSlots;
  cell.h_prev = static_cast<const E*>(cell.h_prev) + move.elements;
  if constexpr (kOwnState<Step, E>) {
    cell.state_prev += move.elements;
    cell.state += move.elements;
  }
  cell.dropout.index += move.dropout;
  cell.t += move.times;
}

template <typename Step, typename E>
__device__ __forceinline__ void advance(ForwardCell& cell, const CellMove& move) {
  advance_common<Step, E>(cell, move);
  cell.h = static_cast<E*>(cell.h) + move.elements;
  if (cell.above) cell.above = static_cast<E*>(cell.above) + move.above;
  if (cell.y) cell.y += move.output;
}

template <typename Step, typename E>
__device__ __forceinline__ void advance(BackwardCell& cell, const CellMove& move) {
  advance_common<Step, E>(cell, move);
  cell.dgates = static_cast<E*>(cell.dgates) + move.elements * Step::kSlots;
  if (cell.dy) cell.dy += move.output;
}

template <typename Product, typename Step>
__global__ void __launch_bounds__(kPersistentThreads, 1)
    persistent_forward_kernel(const __grid_constant__ PersistentArgs<ForwardCell> args) {
  using E = typename Product::Element;
  constexpr int kOwned = kMostOwnedUnits, kSlots = Step::kSlots, kOfR = kSlotsOfR<Step>;
  const PersistentShape& shape = args.shape;
  const BlockPart part(shape, args.batch, args.padded);
  const BlockMemory<E> memory(shape);
  const StageWork work(shape, 16 / int(sizeof(E)));
  std::uint32_t* const flags = args.flags + part.group * shape.flag_stride;
  std::uint32_t round = published(flags, part.block);
  const std::uint64_t number = dropout_step(args);
  const OwnedUnit owned[kOwned] = {OwnedUnit(shape, part, 0, args.padded),
                                   OwnedUnit(shape, part, 1, args.padded)};
  ForwardCell cell = args.cell[part.cell];
  const CellMove move = args.move[part.cell];
  const std::int64_t copied_row = std::int64_t(part.first_row + work.row) * args.padded;
  const std::int64_t copy_stride = std::int64_t(work.rows_a_round) * args.padded;
  float *const h_n = cell.h_n, *const c_n = cell.c_n;
  Units<1> bias[kOwned][kSlots] = {};
#pragma unroll
  for (int r = 0; r < kOwned; ++r)
#pragma unroll
    for (int s = 0; s < kSlots; ++s)
      if (owned[r].unit < part.units)
        bias[r][s] = load<1>(cell.bias + s * args.padded + part.first_unit + owned[r].unit);
  load_rows<Product, kOfR>(shape, part, memory, static_cast<const E*>(args.weight[part.cell]),
                           args.padded);

  for (int step = 0; step < args.steps; ++step) {
    cell.h_n = step + 1 < args.steps ? nullptr : h_n;
    cell.c_n = step + 1 < args.steps ? nullptr : c_n;
    for (int first = 0; first < part.rows; first += shape.batch_tile) {
      const int rows = min(shape.batch_tile, part.rows - first);
      const auto is_mine = [&](const OwnedUnit& unit) {
        return unit.row < rows && unit.unit < part.units;
      };
      const auto place_of = [&](const OwnedUnit& unit) { return unit.at(first, args.padded); };
      // The gates of a unit: [row, 0, unit] in [N, slots, Hp], from [row, unit] in [N, Hp].
      const auto gates_of = [&](const UnitPlace& place) {
        return cell.gates + (kSlots * place.at - (kSlots - 1) * place.unit);
      };
      // Only loads: nothing waits for their values before the product is done.
      Units<1> x[kOwned][kSlots] = {}, prev[kOwned] = {}, state[kOwned];
      E h_prev[kOwned] = {};
      std::int32_t length[kOwned] = {};
#pragma unroll
      for (int r = 0; r < kOwned; ++r) {
        if (!is_mine(owned[r])) continue;
        const UnitPlace place = place_of(owned[r]);
#pragma unroll
        for (int s = kFirstOfW<Step>; s < kSlots; ++s)
          x[r][s] = load<1>(gates_of(place) + s * args.padded);
        prev[r] = previous_state<Step, E, 1>(cell, place);
        length[r] = length_of(args, place.row);
        if (args.lengths) h_prev[r] = static_cast<const E*>(cell.h_prev)[place.at];
      }
      const ExchangedMatrix<E> exchanged{
          static_cast<const E*>(cell.h_prev) + copied_row + std::int64_t(first) * args.padded,
          copy_stride, rows};
      if (step > 0 && first == 0 && !await(args.watch, flags, shape.blocks, round)) return;
      multiply<Product>(shape, memory, work, exchanged);
      Units<1> h[kOwned];
#pragma unroll
      for (int r = 0; r < kOwned; ++r) {
        if (!is_mine(owned[r])) continue;
        const auto sums = add_sums<kOfR>(shape, memory.sums, owned[r]);
#pragma unroll
        for (int s = 0; s < kSlots; ++s)
          x[r][s].v[0] += s < kOfR ? bias[r][s].v[0] + sums.v[s < kOfR ? s : 0] : bias[r][s].v[0];
        state[r] = prev[r];
        h[r].v[0] = as_float(h_prev[r]);
        if (cell.t < length[r]) h[r] = Step::forward(x[r], prev[r], state[r]);
        store_rounded(static_cast<E*>(cell.h) + place_of(owned[r]).at, h[r]);
      }
      // Publish before the stores that only later kernels read.
      if (first + rows == part.rows) publish(flags, part.block, ++round);
#pragma unroll
      for (int r = 0; r < kOwned; ++r) {
        if (!is_mine(owned[r])) continue;
        const UnitPlace place = place_of(owned[r]);
        const bool live = cell.t < length[r];
        if (args.training && live)
#pragma unroll
          for (int s = 0; s < kSlots; ++s) store(gates_of(place) + s * args.padded, x[r][s]);
        store_outputs<Step, E>(args, cell, place, h[r], state[r], live, number);
      }
    }
    advance<Step, E>(cell, move);
  }
}

/// Step s computes the gradients of the gates of the s-th timestep from the end, from those of the
/// step before. The last step computes the gradient of the initial state.
template <typename Product, typename Step>
__global__ void __launch_bounds__(kPersistentThreads, 1)
    persistent_backward_kernel(const __grid_constant__ PersistentArgs<BackwardCell> args) {
  using E = typename Product::Element;
  constexpr int kOwned = kMostOwnedUnits, kSlots = Step::kSlots;
  constexpr bool kIsLstm = std::is_same_v<Step, LstmStep>;
  const PersistentShape& shape = args.shape;
  const BlockPart part(shape, args.batch, args.padded);
  const BlockMemory<E> memory(shape);
  const StageWork work(shape, 16 / int(sizeof(E)));
  std::uint32_t* const flags = args.flags + part.group * shape.flag_stride;
  std::uint32_t round = published(flags, part.block);
  const std::uint64_t number = dropout_step(args);
  const OwnedUnit owned[kOwned] = {OwnedUnit(shape, part, 0, args.padded),
                                   OwnedUnit(shape, part, 1, args.padded)};
  BackwardCell cell = args.cell[part.cell];
  const CellMove move = args.move[part.cell];
  const std::int64_t gate_row = std::int64_t(kSlots) * args.padded;
  const std::int64_t copied_row = (part.first_row + work.row) * gate_row;
  const std::int64_t copy_stride = work.rows_a_round * gate_row;
  const E* published_gates = nullptr;  // of the step before
  const bool carries = kIsGru<Step> || args.lengths, drops = drops_gradients(args, cell);
  load_columns<Product>(shape, part, memory, static_cast<const E*>(args.weight[part.cell]),
                        args.padded);

  for (int step = 0; step <= args.steps; ++step) {
    const bool has_gates = step < args.steps;
    for (int first = 0; first < part.rows; first += shape.batch_tile) {
      const int rows = min(shape.batch_tile, part.rows - first);
      const auto is_mine = [&](const OwnedUnit& unit) {
        return unit.row < rows && unit.unit < part.units;
      };
      const auto place_of = [&](const OwnedUnit& unit) { return unit.at(first, args.padded); };
      // The gates of a unit: [row, 0, unit] in [N, slots, Hp], from [row, unit] in [N, Hp].
      const auto gates_of = [&](const UnitPlace& place) {
        return kSlots * place.at - (kSlots - 1) * place.unit;
      };
      // Only masks and loads: nothing waits for their values before the product is done.
      Units<1> y[kOwned][kSlots] = {}, prev[kOwned] = {}, state[kOwned] = {}, dh[kOwned] = {},
               dy[kOwned] = {}, dc[kOwned] = {};
      DropoutMask<1> masks[kOwned] = {};
      bool live[kOwned] = {};
#pragma unroll
      for (int r = 0; r < kOwned; ++r) {
        if (!is_mine(owned[r])) continue;
        const UnitPlace place = place_of(owned[r]);
        if (step == 0 || carries) dh[r] = load<1>(cell.dh + place.at);
        live[r] = has_gates && cell.t < length_of(args, place.row);
        if (!live[r]) continue;  // its gates may be uninitialised
        dy[r] = output_gradient<1>(args, cell, place);
        if (drops) masks[r] = draw_mask<1>(cell.dropout, number, place, args.dropout);
        prev[r] = previous_state<Step, E, 1>(cell, place);
        if constexpr (kIsLstm) {
          state[r] = load<1>(cell.state + place.at);
          dc[r] = load<1>(cell.dc + place.at);
        }
#pragma unroll
        for (int s = 0; s < kSlots; ++s)
          y[r][s] = load<1>(cell.gates + gates_of(place) + s * args.padded);
      }
      if (step > 0) {
        const ExchangedMatrix<E> exchanged{published_gates + copied_row + first * gate_row,
                                           copy_stride, rows};
        if (first == 0 && !await(args.watch, flags, shape.blocks, round)) return;
        multiply<Product>(shape, memory, work, exchanged);
      }
#pragma unroll
      for (int r = 0; r < kOwned; ++r) {
        if (!is_mine(owned[r])) continue;
        const UnitPlace place = place_of(owned[r]);
        if (step > 0) dh[r].v[0] += add_sums<1>(shape, memory.sums, owned[r]).v[0];
        if (!has_gates) {
          store(cell.dh + place.at, dh[r]);
          continue;
        }
        if (live[r]) {
          if (drops) dy[r] = drop(dy[r], masks[r], args.kept_scale);
          dh[r].v[0] += dy[r].v[0];
          dh[r] = Step::backward(y[r], prev[r], state[r], dh[r], dc[r]);
        }  // else the state and its gradient pass through, and the gates have gradient zero
        E* const dgates = static_cast<E*>(cell.dgates) + gates_of(place);
#pragma unroll
        for (int s = 0; s < kSlots; ++s) store_rounded(dgates + s * args.padded, y[r][s]);
      }
      if (!has_gates) continue;
      if (first + rows == part.rows) publish(flags, part.block, ++round);
#pragma unroll
      for (int r = 0; r < kOwned; ++r) {
        if (!is_mine(owned[r])) continue;
        const UnitPlace place = place_of(owned[r]);
        if (kIsLstm && live[r]) store(cell.dc + place.at, dc[r]);
        if (carries) store(cell.dh + place.at, dh[r]);
      }
    }
    published_gates = static_cast<const E*>(cell.dgates);
    advance<Step, E>(cell, move);
  }
}

template <typename Product, typename Step>
PersistentKernels kernels_of() {
  return {&persistent_forward_kernel<Product, Step>, &persistent_backward_kernel<Product, Step>};
}

template <typename Product>
PersistentKernels kernels_of(CellKind cell) {
  switch (cell) {
    case CellKind::kRnnTanh:
      return kernels_of<Product, ElmanStep<Activation::kTanh>>();
    case CellKind::kRnnRelu:
      return kernels_of<Product, ElmanStep<Activation::kRelu>>();
    case CellKind::kRnnLogistic:
      return kernels_of<Product, ElmanStep<Activation::kLogistic>>();
    case CellKind::kLstm:
      return kernels_of<Product, LstmStep>();
    case CellKind::kGru:
      return kernels_of<Product, GruAfterStep>();
  }
  return {};
}

}  // namespace unroll::gpu
