/// What a block of a persistent kernel does besides the gates: find its sequences and units, load
/// its weights into shared memory, copy and multiply what other blocks published, and add up the
/// sums of its warps.
#pragma once

#include <cuda_pipeline.h>

#include <algorithm>
#include <cstdint>

#include "cuda/kernels/shared_memory.cuh"
#include "cuda/recurrent/gate_steps.cuh"
#include "cuda/recurrent/persistent_products.cuh"

namespace unroll::gpu {

/// The cell, sequences and units that a block computes.
struct BlockPart {
  int cell, group;      // group: counted over all cells
  int first_row, rows;  // sequences
  int first_unit, units;
  int block;  // within the group

  __device__ __forceinline__ BlockPart(const PersistentShape& shape, int batch, int padded) {
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
struct BlockMemory {
  E* weights;   // in the order of the product; by unit, then by slot
  E* stages;    // [stages, batch_tile, stage_stride]
  float* sums;  // [depth_warps, batch_tile, sum_stride]: by sequence and weight row

  __device__ __forceinline__ explicit BlockMemory(const PersistentShape& shape) {
    std::byte* const memory = dynamic_shared();
    weights = reinterpret_cast<E*>(memory);
    stages = reinterpret_cast<E*>(memory + shape.stage_offset);
    sums = reinterpret_cast<float*>(memory + shape.sum_offset);
  }
};

/// A unit of one sequence of a batch tile, which the same thread computes in every timestep.
struct OwnedUnit {
  int row, unit;    // within the tile and the block's part
  UnitPlace place;  // in the first tile

  __device__ __forceinline__ OwnedUnit(const PersistentShape& shape, const BlockPart& part,
                                       int round, int padded)
      : row((int(threadIdx.x) + round * kPersistentThreads) / shape.units),
        unit((int(threadIdx.x) + round * kPersistentThreads) % shape.units),
        place(part.first_row + row, part.first_unit + unit, padded) {}

  /// Its place in the tile that begins with row `first` of the block's part.
  __device__ __forceinline__ UnitPlace at(int first, int padded) const {
    UnitPlace in_tile = place;
    in_tile.row += first;
    in_tile.at += std::int64_t(first) * padded;
    return in_tile;
  }
};

/// The values that a thread needs for the product of every timestep. They are computed once,
/// because they take divisions, which would delay each exchange.
struct StageWork {
  WarpSlice slice;
  int ahead;         // stages requested before the first is multiplied
  int row, column;   // in a stage, of the first 16 bytes that this thread copies
  int rows_a_round;  // rows between those that this thread copies
  int place, place_stride, stage_elements;  // offset and stride in a stage's buffer; its size

  __device__ __forceinline__ StageWork(const PersistentShape& shape, int pack) : slice(shape) {
    ahead = shape.padded_depth <= shape.width * shape.stages ? shape.stages : shape.stages - 1;
    const int packs = shape.width / pack;
    row = int(threadIdx.x) / packs;
    column = int(threadIdx.x) % packs * pack;
    rows_a_round = kPersistentThreads / packs;
    if (row == rows_a_round) row = shape.group_batch;  // surplus threads copy nothing
    place = row * shape.stage_stride + column;
    place_stride = rows_a_round * shape.stage_stride;
    stage_elements = shape.batch_tile * shape.stage_stride;
  }
};

/// Walks a matrix in steps of the block's size, without a division per step.
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
                                              const BlockMemory<E>& memory) {
  constexpr int kPack = 16 / sizeof(E);
  const int packs = shape.row_tiles * shape.row_tile * shape.weight_stride / kPack;
  for (int k = int(threadIdx.x); k < packs; k += kPersistentThreads)
    store(memory.weights + k * kPack, Pack<E, kPack>{});
  __syncthreads();
}

/// R: rows of `padded` elements.
template <typename E>
struct RecurrentWeight {
  const E* data;
  int padded;
};

/// Loads row (unit, slot) of the block's weights from row slot Hp + unit of R.
template <typename Product, int slots, typename E>
__device__ __forceinline__ void load_rows(const PersistentShape& shape, const BlockPart& part,
                                          const BlockMemory<E>& memory,
                                          const RecurrentWeight<E>& weight) {
  const int padded = weight.padded;
  constexpr int kPack = 16 / sizeof(E);
  clear_weights(shape, memory);
#pragma unroll 4
  for (BlockWalk walk(padded / kPack); walk.row < slots * part.units; walk.next()) {
    const int slot = walk.row % slots, unit = part.first_unit + walk.row / slots;
    const E* const from = weight.data + (std::int64_t(slot) * padded + unit) * padded;
    Product::store_weights(shape, memory.weights, {walk.row, walk.column * kPack},
                           load<kPack>(from + walk.column * kPack));
  }
}

/// Loads row `unit` of the block's weights from a column of R.
template <typename Product, typename E>
__device__ __forceinline__ void load_columns(const PersistentShape& shape, const BlockPart& part,
                                             const BlockMemory<E>& memory,
                                             const RecurrentWeight<E>& weight) {
  clear_weights(shape, memory);
#pragma unroll 4
  for (BlockWalk walk(part.units / 4); walk.row < shape.depth; walk.next()) {
    const int unit = walk.column * 4;
    const auto quad =
        load<4>(weight.data + std::int64_t(walk.row) * weight.padded + part.first_unit + unit);
#pragma unroll
    for (int q = 0; q < 4; ++q)
      Product::store_weights(shape, memory.weights, {unit + q, walk.row}, Pack<E, 1>{quad.v[q]});
  }
}

/// What a thread copies of the exchanged matrix [rows, depth]: every rows_a_round-th row, from its
/// first one on.
template <typename E>
struct ExchangedMatrix {
  const E* data;  // the first element of the thread's first row
  std::int64_t stride;
  int rows;  // rows of the matrix
};

/// A stage's buffer, and the column of the depth with which the stage begins.
template <typename E>
struct StageBuffer {
  E* data;
  int first;
};

/// Starts to copy a stage. Columns past the depth are set to zero as far as they are multiplied.
template <typename E>
__device__ __forceinline__ void copy_stage(const PersistentShape& shape, const StageWork& work,
                                           const ExchangedMatrix<E>& from,
                                           const StageBuffer<E>& to) {
  constexpr int kPack = 16 / sizeof(E);
  const int column = to.first + work.column;
  E* place = to.data + work.place;
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

/// Waits until all requested stages except the last `ahead` - 1 have arrived. The instruction takes
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

/// Computes the `sums` of all warps from the weights and the exchanged matrix, `ahead` stages of
/// which are already requested. Multiplies one stage while the others arrive. Ends with a barrier.
template <typename Product, int n, typename E>
__device__ __forceinline__ void multiply_stages(const PersistentShape& shape,
                                                const BlockMemory<E>& memory, const StageWork& work,
                                                const ExchangedMatrix<E>& from) {
  const WarpSlice& slice = work.slice;
  const bool idle = slice.row_tile >= shape.row_tiles;
  const E* weights = memory.weights + slice.row_tile * shape.row_tile * shape.weight_stride;
  typename Product::template Sums<n> sums(shape);
  // The buffer of this stage, and the one for the next stage to copy, whose first column is
  // `first`.
  E *buffer = memory.stages, *next = memory.stages + (shape.stages - 1) * work.stage_elements;
  E* const end = memory.stages + shape.stages * work.stage_elements;
  int first = work.ahead * shape.width, depth = shape.padded_depth;  // still to multiply
#pragma unroll 1
  for (; depth > 0; depth -= shape.width) {
    wait_for_stage(work.ahead);
    // The copies of all threads have arrived, and the buffer of the stage before is free.
    __syncthreads();
    if (first < shape.padded_depth) copy_stage(shape, work, from, {next, first});
    __pipeline_commit();
    if (!idle) sums.add(shape, weights, buffer, {slice.begin, min(slice.end, depth)});
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

/// The whole product, for as few multiples of kSequences as there are.
template <typename Product, typename E>
__device__ __forceinline__ void multiply(const PersistentShape& shape, const BlockMemory<E>& memory,
                                         const StageWork& work, const ExchangedMatrix<E>& from) {
  E* buffer = memory.stages;
#pragma unroll 1
  for (int k = 0; k < work.ahead; ++k, buffer += work.stage_elements) {
    copy_stage(shape, work, from, {buffer, k * shape.width});
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

/// The sums of a unit in neighbouring weight rows, `count` per unit, added up in the order of the
/// depth. All are loaded before the first is used.
template <int count>
__device__ __forceinline__ Sums<count> add_sums(const PersistentShape& shape, const float* sums,
                                                const OwnedUnit& owned) {
  constexpr int kMostParts = kPersistentThreads / 32, kWidth = count == 4 ? 4 : 1;
  const float* const from = sums + owned.row * shape.sum_stride + owned.unit * count;
  const int part_stride = shape.batch_tile * shape.sum_stride;
  Pack<float, kWidth> partial[kMostParts][count / kWidth] = {};
#pragma unroll
  for (int k = 0; k < kMostParts; ++k)
    if (k < shape.depth_warps)
#pragma unroll
      for (int i = 0; i < count / kWidth; ++i)
        partial[k][i] = load<kWidth>(from + k * part_stride + i * kWidth);
  Sums<count> sum;
#pragma unroll
  for (int i = 0; i < count; ++i) {
    sum.v[i] = partial[0][i / kWidth].v[i % kWidth];
#pragma unroll
    for (int k = 1; k < kMostParts; ++k) sum.v[i] += partial[k][i / kWidth].v[i % kWidth];
  }
  return sum;
}

}  // namespace unroll::gpu
