/// Checks now and then what the steps of a run have done, and handles steps that the loss guard has
/// refused. A check waits for the device, so most steps go without one.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "host/models/checkpoint.h"
#include "host/train/trainer.h"
#include "host/train/training_state.h"
#include "host/train/training_step.h"

namespace unroll {

/// Whether a refused step keeps those after it from being applied.
inline bool halts(const TrainingOptions& options) {
  return options.on_divergence != OnDivergence::kSkip;
}

class StepWatch {
 public:
  struct Run {
    const TrainingOptions& options;
    const TrainingObserver& observer;
    TrainingStep& step;
    Progress& progress;
    std::function<void(nlohmann::ordered_json)> record;  // into the metrics
    bool reads_checkpoints = true;                       // else another rank does, and shares them
  };
  explicit StepWatch(Run run) : run_(std::move(run)) {}

  /// As of the last check.
  const StepCounters& counters() const { return counters_; }
  const StepStatistics& statistics() const { return statistics_; }

  /// To be called once step and progress are restored from a checkpoint.
  void resume();

  /// Reads what the steps since the last check have done, reports jumps of the loss, and does what
  /// `on_divergence` says about refused steps. `last_saved`: step of the newest checkpoint.
  /// Errors    std::runtime_error if the run has to end: training diverged.
  void check(std::int64_t last_saved);

  /// The losses that come are those of a new line of the log.
  void start_interval();

 private:
  void report_jumps(std::int64_t jumps);
  bool refused_finite() const;
  std::string reason() const;
  void handle_refusals(std::int64_t refused, std::int64_t last_saved);
  void record_refusals(std::int64_t first, std::int64_t refused) const;
  [[noreturn]] void stop(const std::string& what, std::int64_t last_saved) const;
  void lift_halt();
  void roll_back(const std::string& what);
  Checkpoint scheduled_checkpoint() const;

  Run run_;
  StepCounters counters_{};
  StepStatistics statistics_{};
};

}  // namespace unroll
