/// The limit of the loss: what it is, and that a run which diverges cannot move it.
#include "unroll/cells/loss_guard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/random.h"

namespace unroll::test {
namespace {

const float kCeiling = 2 * std::log(10000.0F) + 3;  // 21.4, of a vocabulary of 10,000

struct Guard {
  LossGuardSpec spec{.ceiling = kCeiling};
  StepCounters counters{};
  StepStatistics statistics{};

  float limit() const { return cells::loss_limit(spec, counters, statistics); }
  bool accepts(float loss) {
    return cells::guard_step(spec, {.loss = loss, .norm = 1, .culprit = -1}, counters, statistics);
  }
};

TEST(LossGuard, KnowsOnlyTheCeilingUntilItHasSeenAHundredLosses) {
  Guard guard;
  for (int k = 0; k < 100; ++k) {
    EXPECT_EQ(guard.limit(), kCeiling) << k;
    EXPECT_TRUE(guard.accepts(5));
  }
  EXPECT_NEAR(guard.limit(), 8, 1e-5);  // no deviation: the mean and three nats
}

TEST(LossGuard, LossesThatClimbFromTheStartDoNotBecomeTheMeasure) {
  Guard guard;
  float loss = 9.2F;
  while (guard.accepts(loss)) loss *= 1.02F;
  EXPECT_LT(loss, 1.03F * kCeiling);
}

// Losses that wander without end: mean and deviation against their definitions.
TEST(LossGuard, IsTheMeanAndTenDeviations) {
  Random random(3);
  Guard guard;
  std::vector<float> losses;
  for (int k = 0; k < 2000; ++k) losses.push_back(float(4 + random.uniform(-2, 2)));
  for (const float loss : losses) EXPECT_TRUE(guard.accepts(loss));
  double mean = 0, square = 0, weights = 0;
  for (std::size_t k = 0; k < losses.size(); ++k) {
    // The first hundred weigh 1/100 each by the time the hundredth has come, and all decay from
    // then.
    const double age = double(losses.size() - 1 - std::max<std::size_t>(k, 99));
    const double weight = 0.01 * std::pow(0.99, age);
    mean += weight * double(losses[k]);
    square += weight * double(losses[k]) * double(losses[k]);
    weights += weight;
  }
  EXPECT_NEAR(weights, 1, 1e-9);
  // The limit's own definition gives 10 sd; a uniform law on +-2 has sd 1.155. In float32 each of
  // the last hundred or so steps adds a rounding of 15's last place, 1e-6.
  EXPECT_NEAR(guard.limit(), mean + 10 * std::sqrt(square - mean * mean), 1e-4);
}

TEST(LossGuard, AFallingLossNeverRaisesAnAlarm) {
  Guard guard;
  for (int k = 0; k < 5000; ++k)
    EXPECT_TRUE(guard.accepts(float(9.2 * std::exp(-k / 800.0) + 0.3 * std::sin(k)))) << k;
}

TEST(LossGuard, WithoutACeilingAnyFiniteLossPasses) {
  Guard guard;
  guard.spec = {};
  for (int k = 0; k < 200; ++k) EXPECT_TRUE(guard.accepts(k < 150 ? 1.0F : 1e30F)) << k;
  EXPECT_FALSE(guard.accepts(INFINITY));
}

}  // namespace
}  // namespace unroll::test
