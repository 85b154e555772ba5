/// Decides whether a training step is applied or refused, on the device that has the loss, so that
/// nothing waits for it. Both backends call guard_step() between the norm of the gradients and the
/// update.
///
/// Only the losses of applied steps enter mean and variance, so a NaN cannot spoil them. A loss far
/// above the mean is a jump, which is counted and applied: the mean follows it and learns the new
/// level of the loss.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "unroll/host_device.h"

namespace unroll {

/// A step is refused if its loss or the norm of its gradient is not finite, or if its loss is above
/// the ceiling.
struct LossGuardSpec {
  float ceiling = std::numeric_limits<float>::infinity();  // infinity: accepts any finite loss
  /// After a refused step, refuse all until StepCounters::refused is set to zero.
  bool halts = false;
};

/// The counters of an optimiser step: an int64 [5] tensor.
struct StepCounters {
  std::int64_t updates;  // steps applied, Adam's t
  std::int64_t skipped;  // steps refused
  std::int64_t refused;  // steps refused in a row so far
  /// For the first step of that row: the last parameter whose gradient's norm is not finite, which
  /// is the first that a backward pass reaches; -1 if there is none.
  std::int64_t culprit;
  std::int64_t jumps;  // steps applied whose loss was above math::jump_limit()
};

/// The measurements of an optimiser step: a float32 [9] tensor.
struct StepStatistics {
  float norm;                      // joint norm of the last step's gradients, before clipping
  float loss_sum;                  // over the steps applied since it was last set to zero
  float loss_mean, loss_variance;  // over the steps applied, weight max(0.01, 1 / updates)
  float refused_loss, refused_limit, refused_norm;  // of the first in a row of refused steps
  float jump_loss, jump_limit;                      // of the last jump
};

namespace math {

/// A loss above this is a jump: mean + max(10 sd, 3), once 100 steps have been applied.
UNROLL_HD inline float jump_limit(const StepCounters& counters, const StepStatistics& statistics) {
  constexpr std::int64_t kWarmUp = 100;
  constexpr float kDeviations = 10, kNats = 3, kNone = INFINITY;
  if (counters.updates < kWarmUp) return kNone;
  const float spread = kDeviations * std::sqrt(statistics.loss_variance);
  return statistics.loss_mean + (spread > kNats ? spread : kNats);
}

/// Updates mean and variance. Losses are clamped to +-1e15, so that squares stay finite.
UNROLL_HD inline void follow_loss(float loss, std::int64_t updates, StepStatistics& statistics) {
  constexpr float kWeight = 0.01F, kLargest = 1e15F;
  const float low = loss < -kLargest ? -kLargest : loss, seen = low > kLargest ? kLargest : low;
  // The plain mean until its weight has fallen to kWeight.
  const float plain = 1 / float(updates), weight = plain > kWeight ? plain : kWeight;
  const float difference = seen - statistics.loss_mean;
  statistics.loss_mean += weight * difference;
  statistics.loss_variance =
      (1 - weight) * (statistics.loss_variance + weight * difference * difference);
}

/// The facts about a step before it is applied.
struct MeasuredStep {
  float loss, norm;
  std::int64_t culprit;  // see StepCounters
};

/// Returns whether to apply the step, and updates counters and statistics in either case.
UNROLL_HD inline bool guard_step(const LossGuardSpec& guard, const MeasuredStep& step,
                                 StepCounters& counters, StepStatistics& statistics) {
  const bool halted = guard.halts && counters.refused > 0;
  statistics.norm = step.norm;
  if (halted || !std::isfinite(step.norm) || !std::isfinite(step.loss) ||
      step.loss > guard.ceiling) {
    ++counters.skipped;
    if (++counters.refused > 1) return false;
    counters.culprit = step.culprit;
    statistics.refused_loss = step.loss;
    statistics.refused_limit = guard.ceiling;
    statistics.refused_norm = step.norm;
    return false;
  }
  if (const float limit = jump_limit(counters, statistics); step.loss > limit) {
    ++counters.jumps;
    statistics.jump_loss = step.loss;
    statistics.jump_limit = limit;
  }
  ++counters.updates;
  counters.refused = 0;
  statistics.loss_sum += step.loss;
  follow_loss(step.loss, counters.updates, statistics);
  return true;
}

}  // namespace math
}  // namespace unroll
