/// The persistent kernels. A block loads its weights once. In each timestep it loads the data that
/// do not depend on the recurrence, waits until all blocks of its group have published the timestep
/// before, streams their data through shared memory, multiplies, computes its gates from the sums,
/// and publishes the results.
///
/// Exchanged values are never read through L1: the copies into shared memory bypass it. All other
/// data that a thread reads was written by an earlier kernel or by the thread itself.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda/kernels/grid_exchange.cuh"
#include "cuda/recurrent/gate_steps.cuh"
#include "cuda/recurrent/persistent.h"
#include "cuda/recurrent/persistent_block.cuh"
#include "unroll/cells/table.h"

namespace unroll::gpu {

/// The sequences of a block's part that it multiplies at a time: [first, first + rows).
struct Tile {
  int first, rows;
};

/// What a thread keeps from timestep to timestep. `Args` is ForwardCell or BackwardCell.
template <typename Product, typename Args>
struct PersistentBlock {
  using E = typename Product::Element;
  static constexpr int kOwned = kMostOwnedUnits;

  const PersistentArgs<Args>& args;
  const PersistentShape& shape;
  // References: as members they would be computed again in every timestep.
  const BlockPart& part;
  const OwnedUnit (&owned)[kOwned];
  const BlockMemory<E> memory;
  const StageWork work;
  std::uint32_t* const flags;
  std::uint32_t round;
  const std::uint64_t number;  // of the training step
  Args cell;                   // at the current timestep
  const CellMove move;

  __device__ __forceinline__ PersistentBlock(const PersistentArgs<Args>& args,
                                             const BlockPart& part,
                                             const OwnedUnit (&owned)[kOwned])
      : args(args),
        shape(args.shape),
        part(part),
        owned(owned),
        memory(shape),
        work(shape, 16 / int(sizeof(E))),
        flags(args.flags + part.group * shape.flag_stride),
        round(published(flags, part.block)),
        number(dropout_step(args)),
        cell(args.cell[part.cell]),
        move(args.move[part.cell]) {}

  __device__ __forceinline__ Tile tile_at(int first) const {
    return {first, min(shape.batch_tile, part.rows - first)};
  }
  __device__ __forceinline__ bool is_last(const Tile& tile) const {
    return tile.first + tile.rows == part.rows;
  }
  /// Whether this thread computes its r-th unit in the tile: a tile or a part may be smaller.
  __device__ __forceinline__ bool is_mine(const Tile& tile, int r) const {
    return owned[r].row < tile.rows && owned[r].unit < part.units;
  }
  __device__ __forceinline__ UnitPlace place(const Tile& tile, int r) const {
    return owned[r].at(tile.first, args.padded);
  }
  __device__ __forceinline__ RecurrentWeight<E> weight() const {
    return {static_cast<const E*>(args.weight[part.cell]), args.padded};
  }
  /// Waits until all blocks of the group have published. False: the launch has been given up.
  __device__ __forceinline__ bool await_others() {
    return await(args.watch, flags, shape.blocks, round);
  }
  __device__ __forceinline__ void publish_part() { publish(flags, part.block, ++round); }
};

/// The gates of a unit: [row, 0, unit] in [N, slots, Hp], from [row, unit] in [N, Hp].
template <int slots>
__device__ __forceinline__ std::int64_t gates_at(const UnitPlace& place) {
  return slots * place.at - (slots - 1) * place.unit;
}

/// The part that is the same for cells of both passes.
template <typename Cell, typename E, typename Args>
__device__ __forceinline__ void advance_common(Args& cell, const CellMove& move) {
  cell.gates += move.elements * Cell::kProgram.slots;
  cell.h_prev = static_cast<const E*>(cell.h_prev) + move.elements;
  if constexpr (kOwnState<Cell, E>) {
    cell.state_prev += move.elements;
    cell.state += move.elements;
  }
  cell.dropout.index += move.dropout;
  cell.t += move.times;
}

template <typename Cell, typename E>
__device__ __forceinline__ void advance(ForwardCell& cell, const CellMove& move) {
  advance_common<Cell, E>(cell, move);
  cell.h = static_cast<E*>(cell.h) + move.elements;
  if (cell.above) cell.above = static_cast<E*>(cell.above) + move.above;
  if (cell.y) cell.y += move.output;
}

template <typename Cell, typename E>
__device__ __forceinline__ void advance(BackwardCell& cell, const CellMove& move) {
  advance_common<Cell, E>(cell, move);
  cell.dgates = static_cast<E*>(cell.dgates) + move.elements * Cell::kProgram.slots;
  if (cell.dy) cell.dy += move.output;
}

/// A unit of this thread at one timestep, forward.
template <typename Cell, typename E>
struct OwnedForward {
  ForwardUnits<Cell, 1> unit{};
  E h_prev{};  // only if there are lengths
  std::int32_t length = 0;
};

/// Only loads: nothing waits for their values before the product is done.
template <typename Cell, typename Block, int count>
__device__ __forceinline__ void load_units(const Block& block, const Tile& tile,
                                           OwnedForward<Cell, typename Block::E> (&mine)[count]) {
  using E = typename Block::E;
  constexpr cells::CellProgram kProgram = Cell::kProgram;
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (!block.is_mine(tile, r)) continue;
    const UnitPlace place = block.place(tile, r);
    const float* const gates = block.cell.gates + gates_at<kProgram.slots>(place);
#pragma unroll
    for (int s = kProgram.first_x; s < kProgram.first_x + kProgram.gates; ++s)
      mine[r].unit.gate[s] = load<1>(gates + s * block.args.padded);
    mine[r].unit.prev = previous_state<Cell, E, 1>(block.cell, place);
    mine[r].length = length_of(block.args, place.row);
    if (block.args.lengths) mine[r].h_prev = static_cast<const E*>(block.cell.h_prev)[place.at];
  }
}

/// Computes the gates from the sums and stores h, which the other blocks read.
template <typename Cell, typename Block, int count>
__device__ __forceinline__ void compute_units(
    const Block& block, const Tile& tile, const Units<1> (&bias)[count][Cell::kProgram.slots],
    OwnedForward<Cell, typename Block::E> (&mine)[count]) {
  using E = typename Block::E;
  constexpr int kSlots = Cell::kProgram.slots, kOfR = Cell::kProgram.h_slots();
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (!block.is_mine(tile, r)) continue;
    ForwardUnits<Cell, 1>& unit = mine[r].unit;
    const auto sums = add_sums<kOfR>(block.shape, block.memory.sums, block.owned[r]);
#pragma unroll
    for (int s = 0; s < kSlots; ++s)
      unit.gate[s].v[0] += s < kOfR ? bias[r][s].v[0] + sums.v[s < kOfR ? s : 0] : bias[r][s].v[0];
    unit.state = unit.prev;
    unit.result.v[0] = as_float(mine[r].h_prev);
    unit.live = block.cell.t < mine[r].length;
    if (unit.live) unit.template run<0>();
    store_rounded(static_cast<E*>(block.cell.h) + block.place(tile, r).at, unit.result);
  }
}

/// Stores what only later kernels read.
template <typename Cell, typename Block, int count>
__device__ __forceinline__ void store_units(
    const Block& block, const Tile& tile,
    const OwnedForward<Cell, typename Block::E> (&mine)[count]) {
  constexpr int kSlots = Cell::kProgram.slots;
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (!block.is_mine(tile, r)) continue;
    const UnitPlace place = block.place(tile, r);
    float* const gates = block.cell.gates + gates_at<kSlots>(place);
    if (block.args.training && mine[r].unit.live)
#pragma unroll
      for (int s = 0; s < kSlots; ++s) store(gates + s * block.args.padded, mine[r].unit.gate[s]);
    store_outputs<typename Block::E>({block.args, block.number}, block.cell, place, mine[r].unit);
  }
}

template <typename Product, typename Cell>
__global__ void __launch_bounds__(kPersistentThreads, 1)
    persistent_forward_kernel(const __grid_constant__ PersistentArgs<ForwardCell> args) {
  using Block = PersistentBlock<Product, ForwardCell>;
  using E = typename Block::E;
  constexpr int kOwned = Block::kOwned, kSlots = Cell::kProgram.slots;
  const BlockPart part(args.shape, args.batch, args.padded);
  const OwnedUnit owned[] = {OwnedUnit(args.shape, part, 0, args.padded),
                             OwnedUnit(args.shape, part, 1, args.padded)};
  Block block(args, part, owned);
  const std::int64_t copied_row = std::int64_t(part.first_row + block.work.row) * args.padded;
  const std::int64_t copy_stride = std::int64_t(block.work.rows_a_round) * args.padded;
  float *const h_n = block.cell.h_n, *const c_n = block.cell.c_n;
  Units<1> bias[kOwned][kSlots] = {};
#pragma unroll
  for (int r = 0; r < kOwned; ++r)
#pragma unroll
    for (int s = 0; s < kSlots; ++s)
      if (owned[r].unit < part.units)
        bias[r][s] = load<1>(block.cell.bias + s * args.padded + part.first_unit + owned[r].unit);
  load_rows<Product, Cell::kProgram.h_slots()>(block.shape, part, block.memory, block.weight());

  for (int step = 0; step < args.steps; ++step) {
    block.cell.h_n = step + 1 < args.steps ? nullptr : h_n;
    block.cell.c_n = step + 1 < args.steps ? nullptr : c_n;
    for (int first = 0; first < part.rows; first += block.shape.batch_tile) {
      const Tile tile = block.tile_at(first);
      OwnedForward<Cell, E> mine[kOwned];
      load_units<Cell>(block, tile, mine);
      const ExchangedMatrix<E> exchanged{
          static_cast<const E*>(block.cell.h_prev) + copied_row + std::int64_t(first) * args.padded,
          copy_stride, tile.rows};
      if (step > 0 && first == 0 && !block.await_others()) return;
      multiply<Product>(block.shape, block.memory, block.work, exchanged);
      compute_units<Cell>(block, tile, bias, mine);
      if (block.is_last(tile)) block.publish_part();
      store_units<Cell>(block, tile, mine);
    }
    advance<Cell, E>(block.cell, block.move);
  }
}

/// A unit of this thread at one timestep, backward.
template <typename Cell>
struct OwnedBackward {
  BackwardUnits<Cell, 1> unit{};
  Units<1> dy{};
  DropoutMask<1> mask{};
  bool live = false;
};

/// What a thread of a backward kernel has to know about a timestep. Step s computes the gradients
/// of the gates of the s-th timestep from the end, from those of the step before. The last step
/// computes the gradient of the initial state.
struct BackwardStep {
  bool is_first, has_gates;
  bool carries;  // dh is kept in memory, see carries()
  bool drops;
};

/// Only masks and loads: nothing waits for their values before the product is done.
template <typename Cell, typename Block, int count>
__device__ __forceinline__ void load_units(const Block& block, const Tile& tile,
                                           const BackwardStep& step,
                                           OwnedBackward<Cell> (&mine)[count]) {
  using E = typename Block::E;
  constexpr int kSlots = Cell::kProgram.slots;
  const BackwardCell& cell = block.cell;
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (!block.is_mine(tile, r)) continue;
    const UnitPlace place = block.place(tile, r);
    BackwardUnits<Cell, 1>& unit = mine[r].unit;
    if (step.is_first || step.carries) unit.dh = load<1>(cell.dh + place.at);
    mine[r].live = step.has_gates && cell.t < length_of(block.args, place.row);
    if (!mine[r].live) continue;  // its gates may be uninitialised
    mine[r].dy = output_gradient<1>(block.args, cell, place);
    if (step.drops)
      mine[r].mask = draw_mask<1>(cell.dropout, block.number, place, block.args.dropout);
    unit.prev = previous_state<Cell, E, 1>(cell, place);
    if constexpr (Cell::kProgram.has_c) {
      unit.state = load<1>(cell.state + place.at);
      unit.dc = load<1>(cell.dc + place.at);
    }
    const float* const gates = cell.gates + gates_at<kSlots>(place);
#pragma unroll
    for (int s = 0; s < kSlots; ++s) unit.gate[s] = load<1>(gates + s * block.args.padded);
  }
}

/// Computes the gradients of the gates and stores them for the other blocks.
template <typename Cell, typename Block, int count>
__device__ __forceinline__ void compute_units(const Block& block, const Tile& tile,
                                              const BackwardStep& step,
                                              OwnedBackward<Cell> (&mine)[count]) {
  using E = typename Block::E;
  constexpr int kSlots = Cell::kProgram.slots;
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (!block.is_mine(tile, r)) continue;
    const UnitPlace place = block.place(tile, r);
    BackwardUnits<Cell, 1>& unit = mine[r].unit;
    if (!step.is_first)
      unit.dh.v[0] += add_sums<1>(block.shape, block.memory.sums, block.owned[r]).v[0];
    if (!step.has_gates) {
      store(block.cell.dh + place.at, unit.dh);
      continue;
    }
    if (mine[r].live) {
      Units<1> dy = mine[r].dy;
      if (step.drops) dy = drop(dy, mine[r].mask, block.args.kept_scale);
      unit.dh.v[0] += dy.v[0];
      unit.template run<0>();
    }  // else the state and its gradient pass through, and the gates have gradient zero
    E* const dgates = static_cast<E*>(block.cell.dgates) + gates_at<kSlots>(place);
#pragma unroll
    for (int s = 0; s < kSlots; ++s) store_rounded(dgates + s * block.args.padded, unit.gate[s]);
  }
}

/// Stores what only this thread reads in the next step.
template <typename Cell, typename Block, int count>
__device__ __forceinline__ void store_units(const Block& block, const Tile& tile,
                                            const BackwardStep& step,
                                            const OwnedBackward<Cell> (&mine)[count]) {
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (!block.is_mine(tile, r)) continue;
    const UnitPlace place = block.place(tile, r);
    if (Cell::kProgram.has_c && mine[r].live) store(block.cell.dc + place.at, mine[r].unit.dc);
    if (step.carries) store(block.cell.dh + place.at, mine[r].unit.dh);
  }
}

template <typename Product, typename Cell>
__global__ void __launch_bounds__(kPersistentThreads, 1)
    persistent_backward_kernel(const __grid_constant__ PersistentArgs<BackwardCell> args) {
  using Block = PersistentBlock<Product, BackwardCell>;
  using E = typename Block::E;
  const BlockPart part(args.shape, args.batch, args.padded);
  const OwnedUnit owned[] = {OwnedUnit(args.shape, part, 0, args.padded),
                             OwnedUnit(args.shape, part, 1, args.padded)};
  Block block(args, part, owned);
  const std::int64_t gate_row = std::int64_t(Cell::kProgram.slots) * args.padded;
  const std::int64_t copied_row = (part.first_row + block.work.row) * gate_row;
  const std::int64_t copy_stride = block.work.rows_a_round * gate_row;
  const E* published_gates = nullptr;  // of the step before
  const bool carries = Cell::kProgram.has_direct || args.lengths,
             drops = drops_gradients(args, block.cell);
  load_columns<Product>(block.shape, part, block.memory, block.weight());

  for (int s = 0; s <= args.steps; ++s) {
    const BackwardStep step{s == 0, s < args.steps, carries, drops};
    for (int first = 0; first < part.rows; first += block.shape.batch_tile) {
      const Tile tile = block.tile_at(first);
      OwnedBackward<Cell> mine[Block::kOwned];
      load_units<Cell>(block, tile, step, mine);
      if (!step.is_first) {
        const ExchangedMatrix<E> exchanged{published_gates + copied_row + first * gate_row,
                                           copy_stride, tile.rows};
        if (first == 0 && !block.await_others()) return;
        multiply<Product>(block.shape, block.memory, block.work, exchanged);
      }
      compute_units<Cell>(block, tile, step, mine);
      if (!step.has_gates) continue;
      if (block.is_last(tile)) block.publish_part();
      store_units<Cell>(block, tile, step, mine);
    }
    published_gates = static_cast<const E*>(block.cell.dgates);
    advance<Cell, E>(block.cell, block.move);
  }
}

/// Whether a cell has persistent kernels. Cells whose timestep is one product and whose units do
/// not depend on each other could have them; those that few use would lengthen the build.
template <typename Cell>
inline constexpr bool kIsPersistent =
    Cell::kProgram.phase_count == 1 && !Cell::kProgram.is_normalised;
template <>
inline constexpr bool kIsPersistent<cells::Lstm<InputGate::kCoupled>> = false;
template <>
inline constexpr bool kIsPersistent<cells::Lstm<InputGate::kCapped>> = false;

template <typename Product>
PersistentKernels kernels_of(const RecurrentSpec& spec) {
  return cells::visit_cell(spec, []<typename Cell>(Cell) -> PersistentKernels {
    if constexpr (kIsPersistent<Cell>)
      return {&persistent_forward_kernel<Product, Cell>,
              &persistent_backward_kernel<Product, Cell>};
    else
      return {nullptr, nullptr};
  });
}

}  // namespace unroll::gpu
