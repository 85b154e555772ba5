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
  E* weights;   // [rows, weight_stride]
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

  __device__ __forceinline__ Item(const PersistentShape& shape, int round) {
    const int item = int(threadIdx.x) + round * kPersistentThreads;
    row = item / shape.units;
    unit = item % shape.units;
  }
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

/// Row (slot, unit) of the share from R's row slot Hp + unit.
template <typename Product, int slots, typename E>
__device__ __forceinline__ void load_rows(const PersistentShape& shape, const Share& share,
                                          const Memory<E>& memory, const E* weight, int padded) {
  constexpr int kPack = 16 / sizeof(E);
  clear_weights(shape, memory);
  const int packs = padded / kPack, count = slots * share.units * packs;
#pragma unroll 4
  for (int k = int(threadIdx.x); k < count; k += kPersistentThreads) {
    const int row = k / packs, column = k % packs * kPack;
    const int slot = row / share.units, unit = row % share.units;
    const auto pack = load<kPack>(
        weight + (std::int64_t(slot) * padded + share.first_unit + unit) * padded + column);
    store(memory.weights + (slot * shape.units + unit) * shape.weight_stride + column,
          map(pack, [](E x) { return Product::rounded(x); }));
  }
}

/// Row `unit` of the share from R's column.
template <typename Product, typename E>
__device__ __forceinline__ void load_columns(const PersistentShape& shape, const Share& share,
                                             const Memory<E>& memory, const E* weight, int padded) {
  clear_weights(shape, memory);
  const int quads = share.units / 4, count = shape.depth * quads;
#pragma unroll 4
  for (int k = int(threadIdx.x); k < count; k += kPersistentThreads) {
    const int row = k / quads, unit = k % quads * 4;
    const auto quad = load<4>(weight + std::int64_t(row) * padded + share.first_unit + unit);
#pragma unroll
    for (int q = 0; q < 4; ++q)
      memory.weights[(unit + q) * shape.weight_stride + row] = Product::rounded(quad.v[q]);
  }
}

/// The exchanged matrix: elements of one share's sequences.
template <typename E>
struct Exchanged {
  const E* data;  // [rows, depth] out of rows `stride` apart
  std::int64_t stride;
  int rows;
};

/// Starts to copy a stage. What is past the depth, as far as anybody multiplies it, becomes zero.
template <typename E>
__device__ __forceinline__ void copy_stage(const PersistentShape& shape, const Exchanged<E>& from,
                                           E* to, int stage) {
  constexpr int kPack = 16 / sizeof(E);
  const int packs = shape.width / kPack, first = stage * shape.width;  // powers of two
  const int shift = 31 - __clz(packs);
#pragma unroll 4
  for (int k = int(threadIdx.x); k < from.rows << shift; k += kPersistentThreads) {
    const int row = k >> shift, column = (k & (packs - 1)) * kPack;
    E* const place = to + row * shape.stage_stride + column;
    if (first + column < shape.depth)
      __pipeline_memcpy_async(place, from.data + row * from.stride + first + column, 16);
    else if (first + column < shape.padded_depth)
      store(place, Pack<E, kPack>{});
  }
}

/// `sums` of all warps, from the weights and the exchanged matrix. Ends with a barrier. One stage
/// is multiplied while the others are on their way.
template <typename Product, int n, typename E>
__device__ __forceinline__ void multiply(const PersistentShape& shape, const Memory<E>& memory,
                                         const Exchanged<E>& from) {
  const Slice slice(shape);
  const bool idle = slice.row_tile >= shape.row_tiles;
  const int stage_elements = shape.batch_tile * shape.stage_stride;
  const int count = (shape.padded_depth + shape.width - 1) / shape.width;
  const E* const weights = memory.weights + slice.row_tile * shape.row_tile * shape.weight_stride;
  typename Product::template Sums<n> sums(shape);
  const int ahead = count == shape.stages ? count : shape.stages - 1;
  for (int k = 0; k < ahead; ++k) {
    copy_stage(shape, from, memory.stages + k * stage_elements, k);
    __pipeline_commit();
  }
  int buffer = 0, next = shape.stages - 1;  // of this stage and of the next one to be copied
  for (int k = 0; k < count; ++k) {
    __pipeline_wait_prior(std::size_t(ahead - 1));
    // Others' copies have arrived, too; and the buffer of the stage before is free.
    __syncthreads();
    if (k + ahead < count)
      copy_stage(shape, from, memory.stages + next * stage_elements, k + ahead);
    __pipeline_commit();
    const int left = shape.padded_depth - k * shape.width;
    if (!idle)
      sums.add(shape, weights + k * shape.width, memory.stages + buffer * stage_elements,
               slice.begin, min(slice.end, left));
    next = buffer;
    buffer = buffer + 1 < shape.stages ? buffer + 1 : 0;
  }
  if (!idle)
    sums.store(shape, memory.sums + slice.depth_part * shape.batch_tile * shape.sum_stride +
                          slice.row_tile * shape.row_tile);
  __syncthreads();
}

/// The same for as few times kSequences as there are.
template <typename Product, typename E>
__device__ __forceinline__ void multiply(const PersistentShape& shape, const Memory<E>& memory,
                                         const Exchanged<E>& from) {
  switch ((from.rows + Product::kSequences - 1) / Product::kSequences) {
    case 1:
      return multiply<Product, 1>(shape, memory, from);
    case 2:
      return multiply<Product, 2>(shape, memory, from);
    case 3:
      return multiply<Product, 3>(shape, memory, from);
    case 4:
      return multiply<Product, 4>(shape, memory, from);
    case 5:
      return multiply<Product, 5>(shape, memory, from);
    case 6:
      return multiply<Product, 6>(shape, memory, from);
    default:
      return multiply<Product, 8>(shape, memory, from);
  }
}

/// An item's sum in a row of the weights, in the order of the depth.
__device__ __forceinline__ float add_sums(const PersistentShape& shape, const float* sums,
                                          const Item& item, int row) {
  const float* from = sums + item.row * shape.sum_stride + row;
  float sum = *from;
  for (int part = 1; part < shape.depth_warps; ++part)
    sum += *(from += shape.batch_tile * shape.sum_stride);
  return sum;
}

/// A cell at the step-th timestep that it takes, as far as those of both passes are alike, and the
/// rows of a [T N] tensor that it has moved by.
template <typename Cell>
struct Moved {
  Cell cell;
  std::int64_t rows;
};
template <typename Step, typename E, typename Cell>
__device__ __forceinline__ Moved<Cell> move_cell(const PersistentArgs<Cell>& args, int which,
                                                 int step) {
  Cell cell = args.cell[which];
  const int times = args.sign[which] * step;
  const std::int64_t rows = std::int64_t(times) * args.batch, move = rows * args.padded;
  cell.gates += move * Step::kSlots;
  cell.h_prev = static_cast<const E*>(cell.h_prev) + move;
  if constexpr (kOwnState<Step, E>) {
    cell.state_prev += move;
    cell.state += move;
  }
  cell.dropout.index += rows * cell.dropout.row_index;
  cell.t += times;
  return {cell, rows};
}

template <typename Step, typename E>
__device__ __forceinline__ ForwardCell cell_at(const PersistentArgs<ForwardCell>& args, int which,
                                               int step) {
  auto [cell, rows] = move_cell<Step, E>(args, which, step);
  cell.h = static_cast<E*>(cell.h) + rows * args.padded;
  if (cell.above) cell.above = static_cast<E*>(cell.above) + rows * cell.above_row;
  if (cell.y) cell.y += rows * cell.y_row;
  if (step + 1 < args.steps) cell.h_n = cell.c_n = nullptr;
  return cell;
}

template <typename Step, typename E>
__device__ __forceinline__ BackwardCell cell_at(const PersistentArgs<BackwardCell>& args, int which,
                                                int step) {
  auto [cell, rows] = move_cell<Step, E>(args, which, step);
  cell.dgates = static_cast<E*>(cell.dgates) + rows * args.padded * Step::kSlots;
  if (cell.dy) cell.dy += rows * cell.dy_row;
  return cell;
}

template <typename Product, typename Step>
__global__ void __launch_bounds__(kPersistentThreads, 1)
    persistent_forward_kernel(const __grid_constant__ PersistentArgs<ForwardCell> args) {
  using E = typename Product::Element;
  constexpr int kItems = kPersistentItems, kSlots = Step::kSlots, kOfR = kSlotsOfR<Step>;
  const PersistentShape& shape = args.shape;
  const Share share(shape, args.batch, args.padded);
  const Memory<E> memory(shape);
  std::uint32_t* const flags = args.flags + share.group * shape.flag_stride;
  const std::uint32_t start = published(flags, share.block);
  const std::uint64_t number = dropout_step(args);
  const Item items[kItems] = {Item(shape, 0), Item(shape, 1)};
  Units<1> bias[kItems][kSlots] = {};
#pragma unroll
  for (int r = 0; r < kItems; ++r)
#pragma unroll
    for (int s = 0; s < kSlots; ++s)
      if (items[r].unit < share.units)
        bias[r][s] = load<1>(args.cell[share.cell].bias + s * args.padded + share.first_unit +
                             items[r].unit);
  load_rows<Product, kOfR>(shape, share, memory, static_cast<const E*>(args.weight[share.cell]),
                           args.padded);

  for (int step = 0; step < args.steps; ++step) {
    const auto cell = cell_at<Step, E>(args, share.cell, step);
    for (int first = 0; first < share.rows; first += shape.batch_tile) {
      const int rows = min(shape.batch_tile, share.rows - first);
      const auto is_mine = [&](const Item& item) {
        return item.row < rows && item.unit < share.units;
      };
      const auto place_of = [&](const Item& item) {
        return Place(share.first_row + first + item.row, share.first_unit + item.unit, args.padded);
      };
      const auto gates_of = [&](const Place& place) {
        return cell.gates + place.row * std::int64_t(kSlots) * args.padded + place.unit;
      };
      // Only loads, whose values nobody waits for before the product is done.
      Units<1> x[kItems][kSlots] = {}, prev[kItems] = {}, h[kItems] = {}, state[kItems];
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
        if (args.lengths) h[r] = load_floats<1>(static_cast<const E*>(cell.h_prev) + place.at);
      }
      if (step > 0 && first == 0) await(flags, 0, shape.blocks, start + std::uint32_t(step));
      multiply<Product>(shape, memory,
                        Exchanged<E>{static_cast<const E*>(cell.h_prev) +
                                         std::int64_t(share.first_row + first) * args.padded,
                                     args.padded, rows});
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
#pragma unroll
        for (int s = 0; s < kSlots; ++s) {
          x[r][s].v[0] += bias[r][s].v[0];
          if (s < kOfR)
            x[r][s].v[0] += add_sums(shape, memory.sums, items[r], s * shape.units + items[r].unit);
        }
        state[r] = prev[r];
        if (cell.t < length[r]) h[r] = Step::forward(x[r], prev[r], state[r]);
        store_rounded(static_cast<E*>(cell.h) + place_of(items[r]).at, h[r]);
      }
      // Before everything that only later kernels read.
      if (first + rows == share.rows) publish(flags, share.block, start + std::uint32_t(step + 1));
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
  std::uint32_t* const flags = args.flags + share.group * shape.flag_stride;
  const std::uint32_t start = published(flags, share.block);
  const std::uint64_t number = dropout_step(args);
  const Item items[kItems] = {Item(shape, 0), Item(shape, 1)};
  const bool carries = kIsGru<Step> || args.lengths;
  load_columns<Product>(shape, share, memory, static_cast<const E*>(args.weight[share.cell]),
                        args.padded);

  for (int step = 0; step <= args.steps; ++step) {
    const bool has_gates = step < args.steps;
    const auto cell = cell_at<Step, E>(args, share.cell, has_gates ? step : step - 1);
    const bool drops = drops_gradients(args, cell);
    for (int first = 0; first < share.rows; first += shape.batch_tile) {
      const int rows = min(shape.batch_tile, share.rows - first);
      const auto is_mine = [&](const Item& item) {
        return item.row < rows && item.unit < share.units;
      };
      const auto place_of = [&](const Item& item) {
        return Place(share.first_row + first + item.row, share.first_unit + item.unit, args.padded);
      };
      const auto gates_of = [&](const Place& place) {
        return place.row * std::int64_t(kSlots) * args.padded + place.unit;
      };
      // Only loads, whose values nobody waits for before the product is done, and masks.
      Units<1> y[kItems][kSlots] = {}, prev[kItems] = {}, state[kItems] = {}, dh[kItems] = {},
               dy[kItems] = {}, dc[kItems] = {};
      Kept<1> kept[kItems] = {};
      std::int32_t length[kItems] = {};
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
        if (step == 0 || carries) dh[r] = load<1>(cell.dh + place.at);
        if (!has_gates) continue;
        length[r] = length_of(args, place.row);
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
        if (first == 0) await(flags, 0, shape.blocks, start + std::uint32_t(step));
        const auto before = cell_at<Step, E>(args, share.cell, step - 1);
        const std::int64_t row_elements = std::int64_t(kSlots) * args.padded;
        multiply<Product>(shape, memory,
                          Exchanged<E>{static_cast<const E*>(before.dgates) +
                                           (share.first_row + first) * row_elements,
                                       row_elements, rows});
      }
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
        if (step > 0) dh[r].v[0] += add_sums(shape, memory.sums, items[r], items[r].unit);
        if (!has_gates) {
          store(cell.dh + place.at, dh[r]);
          continue;
        }
        if (cell.t < length[r]) {
          if (drops) dy[r] = drop(dy[r], kept[r], args.dropout);
          dh[r].v[0] += dy[r].v[0];
          dh[r] = Step::backward(y[r], prev[r], state[r], dh[r], dc[r]);
        } else {  // the state passed through, and so does its gradient
#pragma unroll
          for (int s = 0; s < kSlots; ++s) y[r][s] = {};
        }
        E* const dgates = static_cast<E*>(cell.dgates) + gates_of(place);
#pragma unroll
        for (int s = 0; s < kSlots; ++s) store_rounded(dgates + s * args.padded, y[r][s]);
      }
      if (!has_gates) continue;
      if (first + rows == share.rows) publish(flags, share.block, start + std::uint32_t(step + 1));
#pragma unroll
      for (int r = 0; r < kItems; ++r) {
        if (!is_mine(items[r])) continue;
        const Place place = place_of(items[r]);
        if (kIsLstm && cell.t < length[r]) store(cell.dc + place.at, dc[r]);
        if (carries) store(cell.dh + place.at, dh[r]);
      }
    }
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
