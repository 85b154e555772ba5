/// What a block of a persistent kernel does apart from gates: which sequences and units are its
/// own, how its weights come into shared memory, how what others published is copied there and
/// multiplied, and how the warps' sums are added up.
#pragma once

#include <cuda_pipeline.h>

#include <algorithm>
#include <cstdint>

#include "cuda/kernels/shared_memory.cuh"
#include "cuda/recurrent/gate_steps.cuh"
#include "cuda/recurrent/persistent_products.cuh"

namespace unroll::gpu {

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

/// What a thread copies of the exchanged matrix [rows, depth]: rows from its first one on, as many
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

}  // namespace unroll::gpu
