/// How persistent kernels divide their work: the kernels can carry out every division, on a device
/// of the size of an H100 and on smaller ones.
#include "cuda/recurrent/persistent_shape.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

namespace unroll::gpu {
namespace {

constexpr std::size_t kHopper = 227 << 10, kAmpere = 163 << 10;

PersistentTask forward(Precision precision, std::int32_t batch, std::int32_t units,
                       std::int32_t slots) {
  return {.precision = precision,
          .batch = batch,
          .padded = units,
          .rows_per_unit = slots,
          .depth = units,
          .cells = 1,
          .processors = 132,
          .shared_memory = kHopper};
}

PersistentTask backward(PersistentTask task) {
  task.depth *= task.rows_per_unit;
  task.rows_per_unit = 1;
  return task;
}

void expect_sound(const PersistentTask& task, const PersistentShape& s) {
  const std::size_t element = task.precision == Precision::kBf16 ? 2 : 4;
  // Every sequence and every unit belongs to one block, and no block has none.
  EXPECT_LE(s.grid(task.cells), task.processors);
  EXPECT_GE(s.groups * s.group_batch, task.batch);
  EXPECT_LT((s.groups - 1) * s.group_batch, task.batch);
  EXPECT_GE(s.blocks * s.units, task.padded);
  EXPECT_LT((s.blocks - 1) * s.units, task.padded);
  EXPECT_EQ(s.units % 4, 0);
  EXPECT_GE(s.flag_stride, s.blocks);
  EXPECT_EQ(s.flag_stride % 32, 0);  // lines of 128 bytes

  // Every row and every element of the depth belongs to one warp.
  const bool fp32 = task.precision == Precision::kFp32;
  if (fp32) {
    EXPECT_TRUE(s.row_lanes == 8 || s.row_lanes == 4 || s.row_lanes == 2);
  }
  const std::int32_t step = fp32 ? 32 / s.row_lanes : std::int32_t(64 / element);
  EXPECT_EQ(s.row_tile, fp32 ? 4 * s.row_lanes : 16);
  EXPECT_EQ(s.rows, s.units * task.rows_per_unit);
  EXPECT_GE(s.row_tiles * s.row_tile, s.rows);
  EXPECT_LE(s.row_tiles, s.row_warps);
  EXPECT_EQ(s.row_warps * s.depth_warps * 32, kPersistentThreads);
  EXPECT_EQ(s.depth, task.depth);
  EXPECT_EQ(s.padded_depth, (task.depth + step - 1) / step * step);
  EXPECT_LE(s.width * std::int64_t(element) / 16, kPersistentThreads);  // copied in one round
  EXPECT_EQ(s.width / s.depth_warps % step, 0);
  EXPECT_GT(s.width / s.depth_warps, 0);
  EXPECT_GE(s.stages, 1);
  EXPECT_LE(s.stages, kMostStages);
  if (s.stages == 1) {
    EXPECT_LE(s.padded_depth, s.width);
  }
  EXPECT_EQ(s.batch_tile % (fp32 ? 4 : 8), 0);
  EXPECT_LE(s.batch_tile / (fp32 ? 4 : 8), 8);
  EXPECT_LE(s.batch_tile * s.units, kMostOwnedUnits * kPersistentThreads);

  // Row strides are aligned to 16 bytes, and the rows that eight lanes read, 16 bytes each and one
  // step of the depth per row, cover all banks.
  EXPECT_GE(s.weight_stride, s.padded_depth);
  EXPECT_GE(s.stage_stride, s.width);
  EXPECT_GE(s.sum_stride, s.row_tiles * s.row_tile);
  EXPECT_EQ(s.sum_stride % 4, 0);  // an LSTM's four sums are loaded at once
  EXPECT_TRUE(fp32 ||
              s.weight_stride == s.padded_depth);  // for tensor cores: by lanes, not by rows
  for (const std::int64_t stride : {fp32 ? s.weight_stride : s.stage_stride, s.stage_stride}) {
    std::set<std::int64_t> banks;  // of 16 bytes
    for (std::int64_t lane = 0; lane < 8; ++lane) {
      const std::int64_t row = lane * 16 / (step * std::int64_t(element));
      const std::int64_t column = lane * 16 % (step * std::int64_t(element));
      banks.insert((row * stride * std::int64_t(element) + column) % 128);
    }
    EXPECT_EQ(stride * std::int64_t(element) % 16, 0);
    EXPECT_EQ(banks.size(), 8U);
  }

  const std::size_t weights =
      element * std::size_t(s.row_tiles) * std::size_t(s.row_tile) * std::size_t(s.weight_stride);
  const std::size_t stages =
      element * std::size_t(s.stages) * std::size_t(s.batch_tile) * std::size_t(s.stage_stride);
  const std::size_t sums = sizeof(float) * std::size_t(s.depth_warps) * std::size_t(s.batch_tile) *
                           std::size_t(s.sum_stride);
  EXPECT_LE(weights, s.stage_offset);
  EXPECT_LE(s.stage_offset + stages, s.sum_offset);
  EXPECT_LE(s.sum_offset + sums, s.shared_bytes);
  EXPECT_LE(s.shared_bytes, task.shared_memory);
  EXPECT_EQ(s.stage_offset % 128, 0U);
  EXPECT_EQ(s.sum_offset % 128, 0U);
  EXPECT_GT(s.microseconds, 0.5);  // even one exchange takes longer
}

TEST(PersistentShape, DividesAllThereIs) {
  int divided = 0;
  for (const auto precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    for (const std::int32_t slots : {1, 3, 4})
      for (const std::int32_t units : {8, 16, 24, 40, 104, 200, 256, 656, 1024, 1504})
        for (const std::int32_t batch : {1, 2, 7, 16, 20, 33, 64, 127, 500})
          for (const std::int32_t cells : {1, 2})
            for (const auto& [processors, shared] :
                 {std::pair{16, kHopper}, std::pair{108, kAmpere}, std::pair{132, kHopper}})
              for (const bool back : {false, true}) {
                PersistentTask task = forward(precision, batch, units, slots);
                task.cells = cells;
                task.processors = processors;
                task.shared_memory = shared;
                if (back) task = backward(task);
                const auto shape = persistent_shape(task);
                if (!shape) continue;
                SCOPED_TRACE("slots " + std::to_string(slots) + " units " + std::to_string(units) +
                             " batch " + std::to_string(batch) + " cells " + std::to_string(cells) +
                             (back ? " backward" : " forward"));
                expect_sound(task, *shape);
                ++divided;
              }
  EXPECT_GT(divided, 3000);
}

// The 4 H^2 weights of an LSTM in 132 times 227 KB: 1500 units fit at 2 bytes each, not at 4.
TEST(PersistentShape, TakesWhatFits) {
  for (const auto precision : {Precision::kFp32, Precision::kBf16})
    for (const std::int32_t units : {200, 256, 656, 768}) {
      const PersistentTask task = forward(precision, 20, units, 4);
      EXPECT_TRUE(persistent_shape(task)) << units;
      EXPECT_TRUE(persistent_shape(backward(task))) << units;
    }
  const PersistentTask large = forward(Precision::kFp32, 20, 1504, 4);
  EXPECT_FALSE(persistent_shape(large));
  EXPECT_FALSE(persistent_shape(backward(large)));
  const PersistentTask half = forward(Precision::kBf16, 20, 1504, 4);
  EXPECT_TRUE(persistent_shape(half));
  EXPECT_TRUE(persistent_shape(backward(half)));
}

// If training can use a shape, evaluation can, too, at any batch size.
TEST(PersistentShape, FitsAtEveryBatchOrAtNone) {
  for (const auto precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    for (std::int32_t units = 512; units <= 2048; units += 8) {
      const bool fits = persistent_shape(forward(precision, 20, units, 4)).has_value();
      for (const std::int32_t batch : {1, 64, 400})
        EXPECT_EQ(persistent_shape(forward(precision, batch, units, 4)).has_value(), fits) << units;
    }
}

// The prediction must not fall when there are more steps of the depth, bytes from L2 or exchanges.
TEST(PersistentShape, PredictsMoreTimeForMoreWork) {
  for (const auto precision : {Precision::kFp32, Precision::kBf16}) {
    double last = 0;
    for (const std::int32_t units : {200, 400, 600, 800}) {
      const auto shape = persistent_shape(forward(precision, 20, units, 4));
      ASSERT_TRUE(shape);
      EXPECT_GT(shape->microseconds, last);
      last = shape->microseconds;
    }
  }
}

}  // namespace
}  // namespace unroll::gpu
