#include "host/train/loss_monitor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/random.h"

namespace unroll::test {
namespace {

constexpr std::int64_t kWords = 10000;
const double kCeiling = 2 * std::log(10000.0) + 3;  // 21.4

TEST(LossMonitor, KnowsOnlyTheCeilingUntilItHasSeenAHundredLosses) {
  LossMonitor monitor(kWords);
  for (int k = 0; k < 100; ++k) {
    EXPECT_DOUBLE_EQ(monitor.limit(), kCeiling) << k;
    monitor.accept(5);
  }
  EXPECT_NEAR(monitor.limit(), 8, 1e-12);  // no deviation: the mean and three nats
}

TEST(LossMonitor, LossesThatClimbFromTheStartDoNotBecomeTheMeasure) {
  LossMonitor monitor(kWords);
  double loss = 9.2;
  for (; loss <= monitor.limit(); loss *= 1.02) monitor.accept(loss);
  EXPECT_LT(loss, 1.03 * kCeiling);
}

// Losses that wander without end: mean and deviation against their definitions.
TEST(LossMonitor, IsTheMeanAndTenDeviations) {
  Random random(3);
  LossMonitor monitor(kWords);
  std::vector<double> losses;
  for (int k = 0; k < 2000; ++k) losses.push_back(4 + random.uniform(-2, 2));
  for (const double loss : losses) monitor.accept(loss);
  double mean = 0, square = 0, weights = 0;
  for (std::size_t k = 0; k < losses.size(); ++k) {
    // The first hundred weigh 1/100 each by the time the hundredth has come, and all decay from
    // then.
    const double age = double(losses.size() - 1 - std::max<std::size_t>(k, 99));
    const double weight = 0.01 * std::pow(0.99, age);
    mean += weight * losses[k];
    square += weight * losses[k] * losses[k];
    weights += weight;
  }
  EXPECT_NEAR(weights, 1, 1e-9);
  // The limit's own definition gives 10 sd; a uniform law on +-2 has sd 1.155.
  EXPECT_NEAR(monitor.limit(), mean + 10 * std::sqrt(square - mean * mean), 1e-9);
}

TEST(LossMonitor, AFallingLossNeverRaisesAnAlarm) {
  LossMonitor monitor(kWords);
  for (int k = 0; k < 5000; ++k) {
    const double loss = 9.2 * std::exp(-k / 800.0) + 0.3 * std::sin(k);
    EXPECT_LT(loss, monitor.limit()) << k;
    monitor.accept(loss);
  }
}

TEST(LossMonitor, ContinuesFromItsState) {
  LossMonitor whole(kWords), first(kWords);
  for (int k = 0; k < 150; ++k) whole.accept(std::sqrt(k));
  for (int k = 0; k < 70; ++k) first.accept(std::sqrt(k));
  LossMonitor second(kWords, first.state());
  for (int k = 70; k < 150; ++k) second.accept(std::sqrt(k));
  EXPECT_EQ(second.limit(), whole.limit());
}

}  // namespace
}  // namespace unroll::test
