/// The persistent kernels. A block loads its weights once. In each timestep it reads what has no
/// part in the recurrence, waits until all blocks of its group have published the timestep before,
/// streams what they published through shared memory, multiplies, and publishes what it makes of
/// the sums.
///
/// Exchanged values are never read through L1: their copies into shared memory bypass it.
/// Everything else that a thread reads, either a kernel before this one wrote, or the thread itself
/// did.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cuda/kernels/grid_exchange.cuh"
#include "cuda/recurrent/gate_steps.cuh"
#include "cuda/recurrent/persistent.h"
#include "cuda/recurrent/persistent_block.cuh"

namespace unroll::gpu {

/// As GateSlots has them: slots that R feeds, from 0 on, and the first one that W feeds.
template <typename Step>
inline constexpr int kSlotsOfR = std::is_same_v<Step, GruAfterStep> ? 3 : Step::kSlots;
template <typename Step>
inline constexpr int kFirstOfW = std::is_same_v<Step, GruAfterStep> ? 1 : 0;

/// As far as cells of both passes are alike.
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
  constexpr int kItems = kPersistentItems, kSlots = Step::kSlots, kOfR = kSlotsOfR<Step>;
  const PersistentShape& shape = args.shape;
  const Share share(shape, args.batch, args.padded);
  const Memory<E> memory(shape);
  const Work work(shape, 16 / int(sizeof(E)));
  std::uint32_t* const flags = args.flags + share.group * shape.flag_stride;
  std::uint32_t round = published(flags, share.block);
  const std::uint64_t number = dropout_step(args);
  const Item items[kItems] = {Item(shape, share, 0, args.padded),
                              Item(shape, share, 1, args.padded)};
  ForwardCell cell = args.cell[share.cell];
  const CellMove move = args.move[share.cell];
  const std::int64_t copied_row = std::int64_t(share.first_row + work.row) * args.padded;
  const std::int64_t copy_stride = std::int64_t(work.rows_a_round) * args.padded;
  float *const h_n = cell.h_n, *const c_n = cell.c_n;
  Units<1> bias[kItems][kSlots] = {};
#pragma unroll
  for (int r = 0; r < kItems; ++r)
#pragma unroll
    for (int s = 0; s < kSlots; ++s)
      if (items[r].unit < share.units)
        bias[r][s] = load<1>(cell.bias + s * args.padded + share.first_unit + items[r].unit);
  load_rows<Product, kOfR>(shape, share, memory, static_cast<const E*>(args.weight[share.cell]),
                           args.padded);

  for (int step = 0; step < args.steps; ++step) {
    cell.h_n = step + 1 < args.steps ? nullptr : h_n;
    cell.c_n = step + 1 < args.steps ? nullptr : c_n;
    for (int first = 0; first < share.rows; first += shape.batch_tile) {
      const int rows = min(shape.batch_tile, share.rows - first);
      const auto is_mine = [&](const Item& item) {
        return item.row < rows && item.unit < share.units;
      };
      const auto place_of = [&](const Item& item) { return item.at(first, args.padded); };
      // [row, 0, unit] of [N, slots, Hp], from [row, unit] of [N, Hp].
      const auto gates_of = [&](const Place& place) {
        return cell.gates + (kSlots * place.at - (kSlots - 1) * place.unit);
      };
      // Only loads, whose values nothing waits for before the product is done.
      Units<1> x[kItems][kSlots] = {}, prev[kItems] = {}, state[kItems];
      E h_prev[kItems] = {};
      std::int32_t length[kItems] = {};
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
#pragma unroll
        for (int s = kFirstOfW<Step>; s < kSlots; ++s)
          x[r][s] = load<1>(gates_of(place) + s * args.padded);
        prev[r] = previous_state<Step, E, 1>(cell, place);
        length[r] = length_of(args, place.row);
        if (args.lengths) h_prev[r] = static_cast<const E*>(cell.h_prev)[place.at];
      }
      const Exchanged<E> exchanged{
          static_cast<const E*>(cell.h_prev) + copied_row + std::int64_t(first) * args.padded,
          copy_stride, rows};
      if (step > 0 && first == 0 && !await(args.watch, flags, shape.blocks, round)) return;
      multiply<Product>(shape, memory, work, exchanged);
      Units<1> h[kItems];
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const auto sums = add_sums<kOfR>(shape, memory.sums, items[r]);
#pragma unroll
        for (int s = 0; s < kSlots; ++s)
          x[r][s].v[0] += s < kOfR ? bias[r][s].v[0] + sums.v[s < kOfR ? s : 0] : bias[r][s].v[0];
        state[r] = prev[r];
        h[r].v[0] = as_float(h_prev[r]);
        if (cell.t < length[r]) h[r] = Step::forward(x[r], prev[r], state[r]);
        store_rounded(static_cast<E*>(cell.h) + place_of(items[r]).at, h[r]);
      }
      // Before everything that only later kernels read.
      if (first + rows == share.rows) publish(flags, share.block, ++round);
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
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

/// In step s the gradients of the gates at the s-th timestep from the end, from those of the step
/// before; after the last of them, the gradient of the initial state.
template <typename Product, typename Step>
__global__ void __launch_bounds__(kPersistentThreads, 1)
    persistent_backward_kernel(const __grid_constant__ PersistentArgs<BackwardCell> args) {
  using E = typename Product::Element;
  constexpr int kItems = kPersistentItems, kSlots = Step::kSlots;
  constexpr bool kIsLstm = std::is_same_v<Step, LstmStep>;
  const PersistentShape& shape = args.shape;
  const Share share(shape, args.batch, args.padded);
  const Memory<E> memory(shape);
  const Work work(shape, 16 / int(sizeof(E)));
  std::uint32_t* const flags = args.flags + share.group * shape.flag_stride;
  std::uint32_t round = published(flags, share.block);
  const std::uint64_t number = dropout_step(args);
  const Item items[kItems] = {Item(shape, share, 0, args.padded),
                              Item(shape, share, 1, args.padded)};
  BackwardCell cell = args.cell[share.cell];
  const CellMove move = args.move[share.cell];
  const std::int64_t gate_row = std::int64_t(kSlots) * args.padded;
  const std::int64_t copied_row = (share.first_row + work.row) * gate_row;
  const std::int64_t copy_stride = work.rows_a_round * gate_row;
  const E* published_gates = nullptr;  // gradients of the step before
  const bool carries = kIsGru<Step> || args.lengths, drops = drops_gradients(args, cell);
  load_columns<Product>(shape, share, memory, static_cast<const E*>(args.weight[share.cell]),
                        args.padded);

  for (int step = 0; step <= args.steps; ++step) {
    const bool has_gates = step < args.steps;
    for (int first = 0; first < share.rows; first += shape.batch_tile) {
      const int rows = min(shape.batch_tile, share.rows - first);
      const auto is_mine = [&](const Item& item) {
        return item.row < rows && item.unit < share.units;
      };
      const auto place_of = [&](const Item& item) { return item.at(first, args.padded); };
      // [row, 0, unit] of [N, slots, Hp], from [row, unit] of [N, Hp].
      const auto gates_of = [&](const Place& place) {
        return kSlots * place.at - (kSlots - 1) * place.unit;
      };
      // Only loads, whose values nothing waits for before the product is done, and masks.
      Units<1> y[kItems][kSlots] = {}, prev[kItems] = {}, state[kItems] = {}, dh[kItems] = {},
               dy[kItems] = {}, dc[kItems] = {};
      Kept<1> kept[kItems] = {};
      bool live[kItems] = {};
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
        if (step == 0 || carries) dh[r] = load<1>(cell.dh + place.at);
        live[r] = has_gates && cell.t < length_of(args, place.row);
        if (!live[r]) continue;  // there may never have been gates
        dy[r] = output_gradient<1>(args, cell, place);
        if (drops) kept[r] = draw_kept<1>(cell.dropout, number, place, args.dropout);
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
        const Exchanged<E> exchanged{published_gates + copied_row + first * gate_row, copy_stride,
                                     rows};
        if (first == 0 && !await(args.watch, flags, shape.blocks, round)) return;
        multiply<Product>(shape, memory, work, exchanged);
      }
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
        if (step > 0) dh[r].v[0] += add_sums<1>(shape, memory.sums, items[r]).v[0];
        if (!has_gates) {
          store(cell.dh + place.at, dh[r]);
          continue;
        }
        if (live[r]) {
          if (drops) dy[r] = drop(dy[r], kept[r], args.kept_scale);
          dh[r].v[0] += dy[r].v[0];
          dh[r] = Step::backward(y[r], prev[r], state[r], dh[r], dc[r]);
        }  // else the state passed through, and so does its gradient; those of the gates are zero
        E* const dgates = static_cast<E*>(cell.dgates) + gates_of(place);
#pragma unroll
        for (int s = 0; s < kSlots; ++s) store_rounded(dgates + s * args.padded, y[r][s]);
      }
      if (!has_gates) continue;
      if (first + rows == share.rows) publish(flags, share.block, ++round);
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
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
