/// Which losses are refused, which are jumps, and how the guard learns a new level of the loss.
#include "unroll/math/loss_guard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/random.h"

namespace unroll::test {
namespace {

const float kCeiling = 2 * std::log(10000.0F) + 3;  // 21.4, for a vocabulary of 10,000

struct Guard {
  LossGuardSpec spec{.ceiling = kCeiling};
  StepCounters counters{};
  StepStatistics statistics{};

  float limit() const { return math::jump_limit(counters, statistics); }
  bool accepts(float loss) {
    return math::guard_step(spec, {.loss = loss, .norm = 1, .culprit = -1}, counters, statistics);
  }
};

TEST(LossGuard, KnowsNoJumpUntilItHasSeenAHundredLosses) {
  Guard guard;
  for (int k = 0; k < 100; ++k) {
    EXPECT_EQ(guard.limit(), INFINITY) << k;
    EXPECT_TRUE(guard.accepts(5));
  }
  EXPECT_NEAR(guard.limit(), 8, 1e-5);  // no deviation: the mean plus three nats
}

TEST(LossGuard, LossesThatClimbEndAtTheCeiling) {
  Guard guard;
  float loss = 9.2F;
  while (guard.accepts(loss)) loss *= 1.02F;
  EXPECT_LT(loss, 1.03F * kCeiling);
}

// Losses that wander without bound: mean and deviation against their definitions.
TEST(LossGuard, IsTheMeanAndTenDeviations) {
  Random random(3);
  Guard guard;
  std::vector<float> losses;
  for (int k = 0; k < 2000; ++k) losses.push_back(float(4 + random.uniform(-2, 2)));
  for (const float loss : losses) EXPECT_TRUE(guard.accepts(loss));
  double mean = 0, square = 0, weights = 0;
  for (std::size_t k = 0; k < losses.size(); ++k) {
    // The first hundred weigh 1/100 each when the hundredth arrives, and all decay after that.
    const double age = double(losses.size() - 1 - std::max<std::size_t>(k, 99));
    const double weight = 0.01 * std::pow(0.99, age);
    mean += weight * double(losses[k]);
    square += weight * double(losses[k]) * double(losses[k]);
    weights += weight;
  }
  EXPECT_NEAR(weights, 1, 1e-9);
  // The definition of the limit gives 10 sd; a uniform distribution on +-2 has sd 1.155. In float32
  // each of the last hundred or so steps adds one rounding at 15, 1e-6.
  EXPECT_NEAR(guard.limit(), mean + 10 * std::sqrt(square - mean * mean), 1e-4);
}

TEST(LossGuard, AFallingLossIsNoJump) {
  Guard guard;
  for (int k = 0; k < 5000; ++k)
    EXPECT_TRUE(guard.accepts(float(9.2 * std::exp(-k / 800.0) + 0.3 * std::sin(k)))) << k;
  EXPECT_EQ(guard.counters.jumps, 0);
}

// A text that repeats one line, and then another text: the loss jumps once or twice, no step is
// refused, and the mean follows the new text as soon as it has forgotten the old one.
TEST(LossGuard, ANewLevelIsAJumpAndThenTheMean) {
  Guard guard;
  for (int k = 0; k < 800; ++k) EXPECT_TRUE(guard.accepts(0.01F));
  EXPECT_EQ(guard.counters.jumps, 0);
  const float limit = guard.limit();
  for (int k = 0; k < 1000; ++k) EXPECT_TRUE(guard.accepts(7.6F + 0.2F * std::sin(float(k)))) << k;
  EXPECT_EQ(guard.counters.skipped, 0);
  EXPECT_GE(guard.counters.jumps, 1);
  EXPECT_LE(guard.counters.jumps, 2);
  EXPECT_GT(guard.statistics.jump_loss, limit);
  EXPECT_GE(guard.statistics.jump_limit, limit);
  EXPECT_NEAR(guard.statistics.loss_mean, 7.6, 0.1);
}

TEST(LossGuard, WhatIsRefusedIsNoJumpAndMovesNoMean) {
  Guard guard;
  for (int k = 0; k < 200; ++k) EXPECT_TRUE(guard.accepts(4));
  const StepStatistics before = guard.statistics;
  for (const float loss : {std::nextafter(kCeiling, 100.0F), 1e30F, INFINITY, -INFINITY, NAN})
    EXPECT_FALSE(guard.accepts(loss)) << loss;
  EXPECT_EQ(guard.counters.jumps, 0);
  EXPECT_EQ(guard.counters.skipped, 5);
  EXPECT_EQ(guard.statistics.loss_mean, before.loss_mean);
  EXPECT_EQ(guard.statistics.loss_variance, before.loss_variance);
  EXPECT_TRUE(guard.accepts(kCeiling));
  EXPECT_EQ(guard.counters.jumps, 1);
}

TEST(LossGuard, WithoutACeilingAnyFiniteLossPasses) {
  Guard guard;
  guard.spec = {};
  for (int k = 0; k < 200; ++k) EXPECT_TRUE(guard.accepts(k < 150 ? 1.0F : 1e30F)) << k;
  EXPECT_FALSE(guard.accepts(INFINITY));
  EXPECT_FALSE(guard.accepts(NAN));
  EXPECT_EQ(guard.counters.jumps, 50);  // the mean follows no further than 1e15
}

// Also for a first loss whose square overflows.
TEST(LossGuard, MeanAndVarianceStayNumbers) {
  const float most = std::numeric_limits<float>::max();
  for (const float first : {most, -most, 1e20F}) {
    Guard guard;
    guard.spec = {};
    for (int k = 0; k < 300; ++k) EXPECT_TRUE(guard.accepts(k % 7 == 0 ? first : 2.0F));
    EXPECT_TRUE(std::isfinite(guard.statistics.loss_mean));
    EXPECT_TRUE(std::isfinite(guard.statistics.loss_variance));
    EXPECT_TRUE(std::isfinite(guard.limit()));
  }
}

}  // namespace
}  // namespace unroll::test
