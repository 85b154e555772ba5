/// How the learning rate changes during a run.
#pragma once

#include <cstdint>

namespace unroll {

enum class ScheduleKind : std::uint8_t {
  kConstant,
  kDecay,    // divided by `factor` for every epoch after epoch `after`
  kPlateau,  // divided by `factor` whenever the validation loss has not improved
  kCosine,   // linear over `warmup` steps, then half a cosine down to zero at the last step
};

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kPlateau;
  double learning_rate = 0;
  double factor = 4;        // kDecay, kPlateau
  std::int64_t after = 0;   // kDecay, epochs
  std::int64_t warmup = 0;  // steps; for kCosine
  std::int64_t steps = 0;   // of the whole run; for kCosine
};

class Schedule {
 public:
  explicit Schedule(const ScheduleOptions& options) : options_(options) {}

  /// Epochs count from 1, steps from 0 over the whole run.
  double learning_rate(std::int64_t epoch, std::int64_t step) const;

  /// To be called at the end of every epoch.
  void end_epoch(bool improved);

  /// What the plateaus so far divide the rate by. A schedule remembers nothing else.
  double divisor() const { return divisor_; }
  void set_divisor(double divisor) { divisor_ = divisor; }

 private:
  ScheduleOptions options_;
  double divisor_ = 1;  // kPlateau
};

}  // namespace unroll
