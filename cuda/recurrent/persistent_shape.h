/// How the work of a persistent kernel is divided: which block holds which weights, and how its
/// warps multiply them. The choice depends only on shapes and two sizes of the device, so a shape
/// is always computed in the same order.
///
/// The batch is divided into groups; within a group each block owns some hidden units of the cell.
/// Forward, a block holds the rows of R for the gates of its units, and reads h_{t-1} of its
/// group's sequences. Backward, it holds the columns of R for its units, and reads the gradients of
/// the gates of all units. Both are one product of `rows` weights in shared memory with an
/// exchanged matrix [sequences, depth].
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "unroll/device.h"

namespace unroll::gpu {

/// The work that has to be divided.
struct PersistentTask {
  Precision precision;
  std::int32_t batch, padded;  // N, Hp
  std::int32_t rows_per_unit;  // forward: slots that R feeds; backward: 1
  std::int32_t depth;          // forward: Hp; backward: slots that R feeds times Hp
  std::int32_t cells;          // running at the same time
  std::int32_t processors;
  std::size_t shared_memory;  // bytes that one block may have
};

inline constexpr int kPersistentThreads = 256;
/// The most units, counted per sequence of a batch tile, that a thread computes.
inline constexpr int kMostOwnedUnits = 2;
inline constexpr int kMostStages = 4;  // one in use, the others on their way

struct PersistentShape {
  // Blocks.
  std::int32_t groups, group_batch;  // the last group may have fewer sequences
  std::int32_t units, blocks;        // per block; blocks in a group, the last with fewer units
  std::int32_t flag_stride;  // from one group's flags to the next group's, which are in other lines

  // The product of one block. Its eight warps are row_warps times depth_warps: each has one tile of
  // rows and one slice of each stage's depth. The sums of the slices are added up in order
  // afterwards.
  std::int32_t rows, row_tile, row_tiles;  // the last tile is padded
  std::int32_t row_warps, depth_warps;
  std::int32_t row_lanes;  // fp32: lanes of a warp across rows; 8 / row_lanes divide the depth
  std::int32_t depth, padded_depth;
  std::int32_t batch_tile;     // sequences multiplied at a time
  std::int32_t width, stages;  // depth of one stage in elements; buffers in use

  // Shared memory: row strides in elements, and the byte offsets of its parts. The weights for
  // tensor cores lie in another order but take as many elements.
  std::int32_t weight_stride, stage_stride, sum_stride;
  std::size_t stage_offset, sum_offset, shared_bytes;

  double microseconds;  // predicted, per timestep

  std::int32_t grid(std::int32_t cells) const { return cells * groups * blocks; }
};

/// The division with the least predicted time; nullopt if the weights do not fit.
std::optional<PersistentShape> persistent_shape(const PersistentTask& task);

}  // namespace unroll::gpu
