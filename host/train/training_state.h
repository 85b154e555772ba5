/// What resuming needs beyond the parameters, so that a resumed run ends with the same bits: the
/// values of all other variables of the training graph (optimiser, carried state), and where the
/// run was.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "host/base/strict_json.h"
#include "host/models/evaluation.h"
#include "unroll/math/loss_guard.h"

namespace unroll {

/// Where a run is: progress.json of a checkpoint.
struct Progress {
  std::int64_t step = 0;      // batches consumed in the whole run; keys the random numbers
  std::int64_t epoch = 1;     // from 1
  std::int64_t position = 0;  // of this epoch's examples (see examples.h)

  Evaluation best;  // of the validation examples; a count of 0: none yet
  std::int64_t best_step = 0, best_epoch = 0;
  Evaluation last;                   // the last validation
  std::int64_t evaluated_step = -1;  // when that was
  std::int64_t without_gain = 0;     // validations since the best
  bool epoch_improved = false;

  double rate_divisor = 1;          // of the plateau schedule
  double rate_scale = 1;            // halved whenever the run is rolled back
  std::int64_t scheduled_save = 0;  // step of the last checkpoint that was not an interruption's
  std::int64_t rollbacks = 0;       // since a validation was best
  std::int64_t skipped = 0;         // steps that changed nothing, as far as they have been checked
  std::int64_t jumps = 0;           // steps whose loss was far above the mean, as far as reported
  std::int64_t interval_start = 0;  // steps applied before the log interval under way

  std::int64_t metrics_bytes = 0;
  double seconds = 0;
};

nlohmann::json to_json(const Progress& progress);
/// Errors    std::runtime_error if a member is missing or out of its range, or contradicts another.
Progress progress_from(const JsonObject& json);

struct EpochShape {
  std::int64_t length, stride;  // of the examples; both 1 or more
};

/// Errors    std::runtime_error, with `where`, unless step, epoch and position belong together.
void check_place(const Progress& progress, const EpochShape& epoch, const std::string& where);

struct GuardState {
  StepCounters counters;
  StepStatistics statistics;
  std::int64_t parameters;  // that a culprit may be
};

/// Errors    std::runtime_error, with `where`, where counters or statistics contradict each other,
///           or the progress that was saved with them.
void check_guard(const GuardState& state, const Progress& progress, const std::string& where);

}  // namespace unroll
