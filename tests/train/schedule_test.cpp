#include "host/train/schedule.h"

#include <gtest/gtest.h>

namespace unroll {
namespace {

TEST(Schedule, DecayDividesForEveryEpochAfterTheGivenOne) {
  const Schedule schedule(
      {.kind = ScheduleKind::kDecay, .learning_rate = 1, .factor = 2, .after = 4});
  // Zaremba et al.: four epochs at rate 1, then halved for each.
  for (int epoch = 1; epoch <= 4; ++epoch) EXPECT_EQ(schedule.learning_rate(epoch, 0), 1);
  EXPECT_EQ(schedule.learning_rate(5, 0), 0.5);
  EXPECT_EQ(schedule.learning_rate(13, 0), 1.0 / 512);
}

TEST(Schedule, PlateauDividesAfterAnEpochWithoutImprovement) {
  Schedule schedule({.kind = ScheduleKind::kPlateau, .learning_rate = 20, .factor = 4});
  schedule.end_epoch(true);
  EXPECT_EQ(schedule.learning_rate(2, 100), 20);
  schedule.end_epoch(false);
  EXPECT_EQ(schedule.learning_rate(3, 200), 5);
  schedule.end_epoch(false);
  EXPECT_EQ(schedule.learning_rate(4, 300), 1.25);
}

TEST(Schedule, CosineWarmsUpLinearlyAndEndsAtZero) {
  const Schedule schedule(
      {.kind = ScheduleKind::kCosine, .learning_rate = 1, .warmup = 10, .steps = 110});
  EXPECT_DOUBLE_EQ(schedule.learning_rate(1, 0), 0.1);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(1, 9), 1);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(1, 10), 1);
  EXPECT_NEAR(schedule.learning_rate(1, 60), 0.5, 1e-12);
  EXPECT_NEAR(schedule.learning_rate(1, 110), 0, 1e-12);
}

TEST(Schedule, ConstantStays) {
  Schedule schedule({.kind = ScheduleKind::kConstant, .learning_rate = 0.1});
  schedule.end_epoch(false);
  EXPECT_EQ(schedule.learning_rate(40, 100000), 0.1);
}

}  // namespace
}  // namespace unroll
