/// Whether a step of training is applied or refused, decided where the loss is, so that nothing
/// waits for it: both backends call guard_step() between the norm of the gradients and the update.
///
/// Only losses of applied steps enter mean and variance, so what is refused cannot become the
/// measure of itself, and a NaN cannot blind it.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "unroll/host_device.h"

namespace unroll {

/// When a step is refused. A loss may be at most limit = min(ceiling, mean + max(10 sd, 3)), where
/// mean and variance run over the accepted losses with weight max(0.01, 1 / accepted); until 100
/// losses have been accepted it is the ceiling alone.
struct LossGuardSpec {
  float ceiling = std::numeric_limits<float>::infinity();  // infinity: any finite loss will do
  /// Once a step was refused, refuse all until StepCounters::refused is set to zero.
  bool halts = false;
};

/// What an optimiser step counts: an int64 [4] tensor.
struct StepCounters {
  std::int64_t updates;  // steps applied, Adam's t
  std::int64_t skipped;  // steps refused
  std::int64_t refused;  // those of them in a row now
  /// Of the first step of that row: the last of the parameters whose gradient's norm is not finite,
  /// which is the first that a backward pass reaches; -1 if there is none.
  std::int64_t culprit;
};

/// What it measures: a float32 [7] tensor.
struct StepStatistics {
  float norm;                      // of the last step's gradients together, before clipping
  float loss_sum;                  // over the steps applied since somebody set it to zero
  float loss_mean, loss_variance;  // see LossGuardSpec
  float refused_loss, refused_limit, refused_norm;  // of the first step of a row of refused ones
};

namespace cells {

UNROLL_HD inline float loss_limit(const LossGuardSpec& guard, const StepCounters& counters,
                                  const StepStatistics& statistics) {
  constexpr std::int64_t kWarmUp = 100;
  constexpr float kDeviations = 10, kNats = 3;
  if (counters.updates < kWarmUp || std::isinf(guard.ceiling)) return guard.ceiling;
  const float spread = kDeviations * std::sqrt(statistics.loss_variance);
  const float limit = statistics.loss_mean + (spread > kNats ? spread : kNats);
  return limit < guard.ceiling ? limit : guard.ceiling;
}

/// What is known of a step before it is applied.
struct MeasuredStep {
  float loss, norm;
  std::int64_t culprit;  // as in StepCounters
};

/// Says whether the step is to be applied, and brings counters and statistics up to date for
/// either.
UNROLL_HD inline bool guard_step(const LossGuardSpec& guard, const MeasuredStep& step,
                                 StepCounters& counters, StepStatistics& statistics) {
  constexpr float kWeight = 0.01F;
  const float limit = loss_limit(guard, counters, statistics);
  const bool halted = guard.halts && counters.refused > 0;
  statistics.norm = step.norm;
  if (halted || !std::isfinite(step.norm) || !std::isfinite(step.loss) || step.loss > limit) {
    ++counters.skipped;
    if (++counters.refused > 1) return false;
    counters.culprit = step.culprit;
    statistics.refused_loss = step.loss;
    statistics.refused_limit = limit;
    statistics.refused_norm = step.norm;
    return false;
  }
  ++counters.updates;
  counters.refused = 0;
  statistics.loss_sum += step.loss;
  // The plain mean until its weights have fallen to kWeight.
  const float plain = 1 / float(counters.updates), weight = plain > kWeight ? plain : kWeight;
  const float difference = step.loss - statistics.loss_mean;
  statistics.loss_mean += weight * difference;
  statistics.loss_variance =
      (1 - weight) * (statistics.loss_variance + weight * difference * difference);
  return true;
}

}  // namespace cells
}  // namespace unroll
