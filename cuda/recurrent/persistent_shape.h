/// How the work of a persistent kernel is divided: which block holds which weights, and how its
/// warps multiply them. Chosen from shapes and two sizes of the device alone, so that the same
/// shape is always computed in the same order.
///
/// The batch is divided into groups; within a group each block owns some hidden units of the cell.
/// Forward, it holds the rows of R that make its units' gates, and reads h_{t-1} of its group's
/// sequences. Backward, it holds the columns of R that belong to its units, and reads the gradients
/// of all units' gates. Both are one product of `rows` weights in shared memory with an exchanged
/// matrix [sequences, depth].
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace unroll::gpu {

enum class PersistentProduct : std::uint8_t { kFp32, kTf32, kBf16 };

/// What has to be divided.
struct PersistentTask {
  PersistentProduct product;
  std::int32_t batch, padded;  // N, Hp
  std::int32_t rows_per_unit;  // forward: slots that R feeds; backward: 1
  std::int32_t depth;          // forward: Hp; backward: slots that R feeds times Hp
  std::int32_t cells;          // that run at the same time
  std::int32_t processors;
  std::size_t shared_memory;  // bytes that one block may have
};

inline constexpr int kPersistentThreads = 256;
/// (Sequence, unit) pairs of a batch tile that a thread works on at most.
inline constexpr int kPersistentItems = 2;
inline constexpr int kMostStages = 4;  // one in use, the others on their way

struct PersistentShape {
  // Blocks.
  std::int32_t groups, group_batch;  // the last group may have fewer sequences
  std::int32_t units, blocks;        // per block; blocks in a group, the last with fewer units
  std::int32_t flag_stride;          // from a group's flags to those of the next, in other lines

  // The product of one block. Its eight warps are row_warps times depth_warps: each has one tile of
  // rows, and of each stage's depth one slice, whose sums are added up in order afterwards.
  std::int32_t rows, row_tile, row_tiles;  // the last tile is filled up
  std::int32_t row_warps, depth_warps;
  std::int32_t row_lanes;  // fp32: lanes of a warp across rows; 8 / row_lanes divide the depth
  std::int32_t depth, padded_depth;
  std::int32_t batch_tile;     // sequences multiplied at a time
  std::int32_t width, stages;  // of the depth in one stage, elements; buffers in use

  // Shared memory: elements from one row to the next, and bytes where each part begins. Tensor
  // cores' weights lie in another order, in as many elements.
  std::int32_t weight_stride, stage_stride, sum_stride;
  std::size_t stage_offset, sum_offset, shared_bytes;

  double microseconds;  // predicted, per timestep

  std::int32_t grid(std::int32_t cells) const { return cells * groups * blocks; }
};

/// The division with the least predicted time; nothing if the weights do not fit.
std::optional<PersistentShape> persistent_shape(const PersistentTask& task);

}  // namespace unroll::gpu
