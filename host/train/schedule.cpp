#include "host/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace unroll {

double Schedule::learning_rate(std::int64_t epoch, std::int64_t step) const {
  switch (options_.kind) {
    case ScheduleKind::kConstant:
      return options_.learning_rate;
    case ScheduleKind::kDecay:
      return options_.learning_rate *
             std::pow(options_.factor, -double(std::max<std::int64_t>(0, epoch - options_.after)));
    case ScheduleKind::kPlateau:
      return options_.learning_rate / divisor_;
    case ScheduleKind::kCosine: {
      if (step < options_.warmup)
        return options_.learning_rate * double(step + 1) / double(options_.warmup);
      const double whole = double(std::max<std::int64_t>(1, options_.steps - options_.warmup));
      const double done = std::min(1.0, double(step - options_.warmup) / whole);
      return options_.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
    }
  }
  return options_.learning_rate;
}

void Schedule::end_epoch(bool improved) {
  // A rate divided by 1e30 has long been nothing, and so the divisor stays finite.
  if (options_.kind == ScheduleKind::kPlateau && !improved)
    divisor_ = std::min(divisor_ * options_.factor, 1e30);
}

}  // namespace unroll
