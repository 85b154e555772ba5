#include "host/train/loss_monitor.h"

#include <algorithm>
#include <cmath>

namespace unroll {
namespace {

constexpr std::int64_t kWarmUp = 100;
constexpr double kWeight = 0.01, kDeviations = 10, kNats = 3;

}  // namespace

LossMonitor::LossMonitor(std::int64_t vocabulary, const State& state)
    : ceiling_(2 * std::log(double(vocabulary)) + kNats), state_(state) {}

double LossMonitor::limit() const {
  if (state_.count < kWarmUp) return ceiling_;
  return std::min(ceiling_,
                  state_.mean + std::max(kDeviations * std::sqrt(state_.variance), kNats));
}

void LossMonitor::accept(double loss) {
  ++state_.count;
  // The plain mean until its weights have fallen to kWeight.
  const double weight = std::max(kWeight, 1 / double(state_.count));
  const double difference = loss - state_.mean;
  state_.mean += weight * difference;
  state_.variance = (1 - weight) * (state_.variance + weight * difference * difference);
}

}  // namespace unroll
