/// The persistent kernels. A block loads its weights once. In each timestep it reads what has no
/// part in the recurrence, waits until all blocks of its group have published the timestep before,
/// streams what they published through shared memory, multiplies, and publishes what it makes of
/// the sums.
///
/// Exchanged values are never read through L1: their copies into shared memory bypass it.
/// Everything else that a thread reads, either a kernel before this one wrote, or the thread itself
/// did.
#pragma once

#include <cuda_pipeline.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cuda/gate_steps.cuh"
#include "cuda/grid_exchange.cuh"
#include "cuda/persistent.h"
#include "cuda/persistent_products.cuh"
#include "cuda/shared_memory.cuh"

namespace unroll::gpu {

/// As GateSlots has them: slots that R feeds, from 0 on, and the first one that W feeds.
template <typename Step>
inline constexpr int kSlotsOfR = std::is_same_v<Step, GruAfterStep> ? 3 : Step::kSlots;
template <typename Step>
inline constexpr int kFirstOfW = std::is_same_v<Step, GruAfterStep> ? 1 : 0;

/// What a block works on.
struct Share {
  int cell, group;      // group: of all cells
  int first_row, rows;  // sequences
  int first_unit, units;
  int block;  // within the group

  __device__ __forceinline__ Share(const PersistentShape& shape, int batch, int padded) {
    group = int(blockIdx.x) / shape.blocks;
    block = int(blockIdx.x) % shape.blocks;
    cell = group / shape.groups;
    first_row = group % shape.groups * shape.group_batch;
    rows = min(shape.group_batch, batch - first_row);
    first_unit = block * shape.units;
    units = min(shape.units, padded - first_unit);
  }
};

/// The parts of a block's shared memory.
template <typename E>
struct Memory {
  E* weights;   // as the product takes them; of slots that follow each other, unit by unit
  E* stages;    // [stages, batch_tile, stage_stride]
  float* sums;  // [depth_warps, batch_tile, sum_stride]: by sequence and row of the weights

  __device__ __forceinline__ explicit Memory(const PersistentShape& shape) {
    std::byte* const memory = dynamic_shared();
    weights = reinterpret_cast<E*>(memory);
    stages = reinterpret_cast<E*>(memory + shape.stage_offset);
    sums = reinterpret_cast<float*>(memory + shape.sum_offset);
  }
};

/// A sequence and a unit of a batch tile, which a thread works on throughout.
struct Item {
  int row, unit;  // within tile and share
  Place place;    // in the first tile

  __device__ __forceinline__ Item(const PersistentShape& shape, const Share& share, int round,
                                  int padded)
      : row((int(threadIdx.x) + round * kPersistentThreads) / shape.units),
        unit((int(threadIdx.x) + round * kPersistentThreads) % shape.units),
        place(share.first_row + row, share.first_unit + unit, padded) {}

  /// In the tile that begins with row `first` of the share.
  __device__ __forceinline__ Place at(int first, int padded) const {
    Place moved = place;
    moved.row += first;
    moved.at += std::int64_t(first) * padded;
    return moved;
  }
};

/// What a block does again in every timestep, worked out once: it takes divisions, which would be
/// on the way from what others published to what this block does.
struct Work {
  Slice slice;
  int ahead;         // stages that are on their way before the first is multiplied
  int row, column;   // of a stage, the first 16 bytes that this thread copies
  int rows_a_round;  // rows from there to the next ones
  int place, place_stride, stage_elements;  // in a stage's buffer: of both; of the buffer

  __device__ __forceinline__ Work(const PersistentShape& shape, int pack) : slice(shape) {
    ahead = shape.padded_depth <= shape.width * shape.stages ? shape.stages : shape.stages - 1;
    const int packs = shape.width / pack;
    row = int(threadIdx.x) / packs;
    column = int(threadIdx.x) % packs * pack;
    rows_a_round = kPersistentThreads / packs;
    if (row == rows_a_round) row = shape.group_batch;  // these threads are too many: none
    place = row * shape.stage_stride + column;
    place_stride = rows_a_round * shape.stage_stride;
    stage_elements = shape.batch_tile * shape.stage_stride;
  }
};

/// Goes through a matrix, each thread by steps of the block, without a division in each.
struct BlockWalk {
  int row, column;

  __device__ __forceinline__ explicit BlockWalk(int columns_)
      : row(int(threadIdx.x) / columns_),
        column(int(threadIdx.x) % columns_),
        columns(columns_),
        rows_a_step(kPersistentThreads / columns_),
        columns_a_step(kPersistentThreads % columns_) {}
  __device__ __forceinline__ void next() {
    row += rows_a_step;
    column += columns_a_step;
    if (column < columns) return;
    column -= columns;
    ++row;
  }

 private:
  int columns, rows_a_step, columns_a_step;
};

template <typename E>
__device__ __forceinline__ void clear_weights(const PersistentShape& shape,
                                              const Memory<E>& memory) {
  constexpr int kPack = 16 / sizeof(E);
  const int packs = shape.row_tiles * shape.row_tile * shape.weight_stride / kPack;
  for (int k = int(threadIdx.x); k < packs; k += kPersistentThreads)
    store(memory.weights + k * kPack, Pack<E, kPack>{});
  __syncthreads();
}

/// Row (unit, slot) of the share from R's row slot Hp + unit.
template <typename Product, int slots, typename E>
__device__ __forceinline__ void load_rows(const PersistentShape& shape, const Share& share,
                                          const Memory<E>& memory, const E* weight, int padded) {
  constexpr int kPack = 16 / sizeof(E);
  clear_weights(shape, memory);
#pragma unroll 4
  for (BlockWalk walk(padded / kPack); walk.row < slots * share.units; walk.next()) {
    const int slot = walk.row % slots, unit = share.first_unit + walk.row / slots;
    const E* const from = weight + (std::int64_t(slot) * padded + unit) * padded;
    Product::store_weights(shape, memory.weights, walk.row, walk.column * kPack,
                           load<kPack>(from + walk.column * kPack));
  }
}

/// Row `unit` of the share from R's column.
template <typename Product, typename E>
__device__ __forceinline__ void load_columns(const PersistentShape& shape, const Share& share,
                                             const Memory<E>& memory, const E* weight, int padded) {
  clear_weights(shape, memory);
#pragma unroll 4
  for (BlockWalk walk(share.units / 4); walk.row < shape.depth; walk.next()) {
    const int unit = walk.column * 4;
    const auto quad = load<4>(weight + std::int64_t(walk.row) * padded + share.first_unit + unit);
#pragma unroll
    for (int q = 0; q < 4; ++q)
      Product::store_weights(shape, memory.weights, unit + q, walk.row, Pack<E, 1>{quad.v[q]});
  }
}

/// Of the exchanged matrix [rows, depth] what a thread copies: rows from its first one on, as many
/// apart as it copies in a round.
template <typename E>
struct Exchanged {
  const E* data;  // in the thread's first row the first element of the depth
  std::int64_t stride;
  int rows;  // of the matrix
};

/// Starts to copy a stage into a buffer, whose first column is `first` of the depth. What is past
/// the depth, as far as it is multiplied, becomes zero.
template <typename E>
__device__ __forceinline__ void copy_stage(const PersistentShape& shape, const Work& work,
                                           const Exchanged<E>& from, E* buffer, int first) {
  constexpr int kPack = 16 / sizeof(E);
  const int column = first + work.column;
  E* place = buffer + work.place;
  if (column < shape.depth) {
    const E* source = from.data + column;
#pragma unroll 1
    for (int row = work.row; row < from.rows; row += work.rows_a_round) {
      __pipeline_memcpy_async(place, source, 16);
      place += work.place_stride;
      source += from.stride;
    }
  } else if (column < shape.padded_depth) {
    for (int row = work.row; row < from.rows; row += work.rows_a_round, place += work.place_stride)
      store(place, Pack<E, kPack>{});
  }
}

/// Until all but the last `ahead` - 1 stages that were asked for are there. The instruction takes
/// a constant.
__device__ __forceinline__ void wait_for_stage(int ahead) {
  static_assert(kMostStages == 4);
  switch (ahead) {
    case 1:
      return __pipeline_wait_prior(0);
    case 2:
      return __pipeline_wait_prior(1);
    case 3:
      return __pipeline_wait_prior(2);
    default:
      return __pipeline_wait_prior(3);
  }
}

/// `sums` of all warps, from the weights and the exchanged matrix, `ahead` stages of which are on
/// their way. Ends with a barrier. One stage is multiplied while the others come.
template <typename Product, int n, typename E>
__device__ __forceinline__ void multiply_stages(const PersistentShape& shape,
                                                const Memory<E>& memory, const Work& work,
                                                const Exchanged<E>& from) {
  const Slice& slice = work.slice;
  const bool idle = slice.row_tile >= shape.row_tiles;
  const E* weights = memory.weights + slice.row_tile * shape.row_tile * shape.weight_stride;
  typename Product::template Sums<n> sums(shape);
  // The buffers of this stage and of the next one to be copied, whose first column is `first`.
  E *buffer = memory.stages, *next = memory.stages + (shape.stages - 1) * work.stage_elements;
  E* const end = memory.stages + shape.stages * work.stage_elements;
  int first = work.ahead * shape.width, depth = shape.padded_depth;  // that is left
#pragma unroll 1
  for (; depth > 0; depth -= shape.width) {
    wait_for_stage(work.ahead);
    // Others' copies have arrived, too; and the buffer of the stage before is free.
    __syncthreads();
    if (first < shape.padded_depth) copy_stage(shape, work, from, next, first);
    __pipeline_commit();
    if (!idle) sums.add(shape, weights, buffer, slice.begin, min(slice.end, depth));
    first += shape.width;
    weights += shape.width * Product::kColumnStride;
    next = buffer;
    buffer += work.stage_elements;
    if (buffer == end) buffer = memory.stages;
  }
  if (!idle)
    sums.store(shape, memory.sums + slice.depth_part * shape.batch_tile * shape.sum_stride +
                          slice.row_tile * shape.row_tile);
  __syncthreads();
}

/// The whole product, for as few times kSequences as there are.
template <typename Product, typename E>
__device__ __forceinline__ void multiply(const PersistentShape& shape, const Memory<E>& memory,
                                         const Work& work, const Exchanged<E>& from) {
  E* buffer = memory.stages;
#pragma unroll 1
  for (int k = 0; k < work.ahead; ++k, buffer += work.stage_elements) {
    copy_stage(shape, work, from, buffer, k * shape.width);
    __pipeline_commit();
  }
  switch ((from.rows + Product::kSequences - 1) / Product::kSequences) {
    case 1:
      return multiply_stages<Product, 1>(shape, memory, work, from);
    case 2:
      return multiply_stages<Product, 2>(shape, memory, work, from);
    case 3:
      return multiply_stages<Product, 3>(shape, memory, work, from);
    case 4:
      return multiply_stages<Product, 4>(shape, memory, work, from);
    case 5:
      return multiply_stages<Product, 5>(shape, memory, work, from);
    case 6:
      return multiply_stages<Product, 6>(shape, memory, work, from);
    default:
      return multiply_stages<Product, 8>(shape, memory, work, from);
  }
}

template <int count>
struct Sums {
  float v[count];
};

/// An item's sums in neighbouring rows of the weights, `count` for each unit, added up in the order
/// of the depth. All are loaded before the first is needed.
template <int count>
__device__ __forceinline__ Sums<count> add_sums(const PersistentShape& shape, const float* sums,
                                                const Item& item) {
  constexpr int kMostParts = kPersistentThreads / 32, kWidth = count == 4 ? 4 : 1;
  const float* const from = sums + item.row * shape.sum_stride + item.unit * count;
  const int part_stride = shape.batch_tile * shape.sum_stride;
  Pack<float, kWidth> part[kMostParts][count / kWidth] = {};
#pragma unroll
  for (int k = 0; k < kMostParts; ++k)
    if (k < shape.depth_warps)
#pragma unroll
      for (int i = 0; i < count / kWidth; ++i)
        part[k][i] = load<kWidth>(from + k * part_stride + i * kWidth);
  Sums<count> sum;
#pragma unroll
  for (int i = 0; i < count; ++i) {
    sum.v[i] = part[0][i / kWidth].v[i % kWidth];
#pragma unroll
    for (int k = 1; k < kMostParts; ++k) sum.v[i] += part[k][i / kWidth].v[i % kWidth];
  }
  return sum;
}

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
