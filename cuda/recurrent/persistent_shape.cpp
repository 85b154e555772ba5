#include "cuda/recurrent/persistent_shape.h"

#include <algorithm>
#include <bit>

namespace unroll::gpu {
namespace {

constexpr std::int32_t kWarps = kPersistentThreads / 32;

// Costs in cycles of an H200; kernels of this kind draw too little power to lower its clock. The
// instruction costs come from the machine code (benchmarks/results/sm90-sass), the memory costs are
// published or assumed. Nothing has been measured yet.
constexpr double kMegahertz = 1980;
/// From a step's last write to the first copy of it by another block: 620 for barrier and fence,
/// 650 for the flag to reach L2 and the poll that sees it, 115 for the end of the poll, 140 for the
/// start of the copy.
constexpr double kExchange = 1525;
constexpr double kRead = 600;      // latency of a read from L2
constexpr double kIngest = 26;     // bytes per cycle from L2 into a multiprocessor
constexpr double kStage = 330;     // per stage, besides its products
constexpr double kStore = 125;     // the sums of all warps, with the barrier
constexpr double kGates = 420;     // sums and gates, one unit per thread
constexpr double kPublish = 110;   // from the gates to the barrier
constexpr double kLoadAll = 4;     // a warp's load of 16 bytes per lane from shared memory
constexpr double kLoadSome = 2;    // the same where lanes share addresses
constexpr double kTensorCore = 2;  // one 16 by 8 product of a warp

std::int32_t divide_up(std::int32_t n, std::int32_t by) {
  return (n + by - 1) / by;
}
std::int32_t round_up(std::int32_t n, std::int32_t unit) {
  return divide_up(n, unit) * unit;
}
std::size_t align(std::size_t bytes) {
  return (bytes + 127) / 128 * 128;
}

std::size_t element_bytes(Precision precision) {
  return precision == Precision::kBf16 ? 2 : 4;
}

/// The elements of the depth that a warp multiplies at a time.
std::int32_t depth_step(Precision precision, std::int32_t row_lanes) {
  if (precision == Precision::kFp32) return 32 / row_lanes;
  return std::int32_t(64 / element_bytes(precision));
}

/// The row stride with which the rows that eight lanes read, 16 bytes each, lie in different banks.
/// The lanes read one step of the depth in each row.
std::int32_t stride(std::int32_t depth_step, std::int32_t columns) {
  return round_up(columns, 2 * depth_step) + depth_step;
}

/// The cycles that all warps need for one step of the depth each.
double multiply_cycles(Precision precision, std::int32_t batch_tile) {
  if (precision == Precision::kFp32) {
    const double n = batch_tile / 4;  // sequences per lane, which has four rows
    return kWarps * std::max(16 * n / 4, (4 + n) * kLoadSome);
  }
  const double n = batch_tile / 8;  // 512 bytes per 8 rows or sequences; two instructions each
  return kWarps * std::max(2 * n * kTensorCore, (2 + n) * kLoadAll);
}

/// The time is that of the exchange, then of reading and multiplying, which overlap, then of the
/// gates.
double predict(const PersistentTask& task, const PersistentShape& s) {
  const double element = double(element_bytes(task.precision));
  const std::int32_t tiles = divide_up(s.group_batch, s.batch_tile);
  const std::int32_t rows = std::min(s.group_batch, s.batch_tile);
  // Stages that were not requested at the start wait for a free buffer, and no stage of a further
  // tile is requested before that tile starts.
  const bool all_at_once = s.padded_depth <= s.width * s.stages;
  const double in_flight = element * rows * s.width * (s.stages - 1);
  const double rate = all_at_once ? kIngest : std::min(kIngest, in_flight / kRead);
  const double read = element * s.group_batch * task.depth / rate;

  const std::int32_t slice = s.width / s.depth_warps,
                     step = depth_step(task.precision, s.row_lanes);
  const std::int32_t full = s.padded_depth / s.width, rest = s.padded_depth % s.width;
  const double steps = full * (slice / step) + divide_up(std::min(rest, slice), step);
  const double multiply = tiles * ((full + (rest > 0)) * kStage +
                                   steps * multiply_cycles(task.precision, s.batch_tile));

  const std::int32_t rounds = divide_up(s.batch_tile * s.units, kPersistentThreads);
  const double others = tiles * (kRead + kStore + rounds * kGates + kPublish);
  const double apart =
      full + (rest > 0) == 1 ? 1 : 0.3;  // a single stage arrives before its product starts
  const double cycles = kExchange + std::max(read, multiply) + apart * std::min(read, multiply) +
                        others + 2.0 * s.blocks;
  return cycles / kMegahertz;
}

/// Completes a shape with given blocks, batch tile and number of stages in use; the depth is
/// divided into at most `parts` stages. Returns false if it does not fit.
bool complete(const PersistentTask& task, std::int32_t parts, PersistentShape& s) {
  s.rows = task.rows_per_unit * s.units;
  s.depth = task.depth;
  if (task.precision == Precision::kFp32) {
    s.row_lanes = s.rows % 32 == 0 ? 8 : s.rows % 16 == 0 ? 4 : 2;
    s.row_tile = 4 * s.row_lanes;
  } else {
    s.row_lanes = 0;
    s.row_tile = 16;
  }
  const std::int32_t step = depth_step(task.precision, s.row_lanes);
  s.padded_depth = round_up(task.depth, step);
  s.row_tiles = divide_up(s.rows, s.row_tile);
  if (s.row_tiles > kWarps) return false;
  s.row_warps = std::int32_t(std::bit_ceil(std::uint32_t(s.row_tiles)));
  s.depth_warps = kWarps / s.row_warps;
  const std::size_t element = element_bytes(task.precision);
  // All warps get the same amount of work.
  s.width = round_up(divide_up(s.padded_depth, parts), s.depth_warps * step);
  if (element * std::size_t(s.width) > 16 * kPersistentThreads) return false;
  s.stages = std::min(s.stages, divide_up(s.padded_depth, s.width));
  const std::int32_t padded_rows = s.row_tiles * s.row_tile;
  s.weight_stride =
      task.precision == Precision::kFp32 ? stride(step, s.padded_depth) : s.padded_depth;
  s.stage_stride = stride(step, s.width);
  // The lanes that store the sums of one row, or of one sequence, then use different banks.
  s.sum_stride = round_up(padded_rows, 16) + (task.precision == Precision::kFp32 ? 8 : 4);
  s.stage_offset = align(element * std::size_t(padded_rows) * std::size_t(s.weight_stride));
  s.sum_offset =
      s.stage_offset + std::size_t(s.stages) *
                           align(element * std::size_t(s.batch_tile) * std::size_t(s.stage_stride));
  s.shared_bytes = s.sum_offset + align(sizeof(float) * std::size_t(s.depth_warps) *
                                        std::size_t(s.batch_tile) * std::size_t(s.sum_stride));
  if (s.shared_bytes > task.shared_memory) return false;
  s.microseconds = predict(task, s);
  return true;
}

}  // namespace

std::optional<PersistentShape> persistent_shape(const PersistentTask& task) {
  std::optional<PersistentShape> best;
  const bool fp32 = task.precision == Precision::kFp32;
  PersistentShape s{};
  for (s.units = 4; s.units <= std::min(task.padded, 128); s.units += 4) {
    s.blocks = divide_up(task.padded, s.units);
    s.flag_stride = round_up(s.blocks, 32);
    const std::int32_t most_groups = task.processors / (task.cells * s.blocks);
    for (std::int32_t groups = 1; groups <= std::min(most_groups, task.batch); ++groups) {
      s.group_batch = divide_up(task.batch, groups);
      s.groups = divide_up(task.batch, s.group_batch);
      if (s.groups != groups) continue;  // another number of groups gives the same division
      for (const std::int32_t n : {1, 2, 3, 4, 5, 6, 8}) {
        s.batch_tile = n * (fp32 ? 4 : 8);
        if (s.batch_tile * s.units > kMostOwnedUnits * kPersistentThreads) break;
        for (const std::int32_t parts : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48})
          for (std::int32_t stages = kMostStages; stages > 1; --stages) {
            s.stages = stages;
            if (complete(task, parts, s) && (!best || s.microseconds < best->microseconds))
              best = s;
          }
      }
    }
  }
  return best;
}

}  // namespace unroll::gpu
