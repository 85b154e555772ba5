#include "host/train/step_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "host/base/setting_error.h"
#include "host/models/model_file.h"
#include "host/train/run_folder.h"
#include "host/train/training_lines.h"

namespace unroll {
namespace {

/// More in a row than chance explains.
constexpr std::int64_t kMostRefused = 50, kMostRollbacks = 5;

}  // namespace

void StepWatch::resume() {
  counters_ = run_.step.counters();
  statistics_ = run_.step.statistics();
  // Steps that were left out before, and reported, are no reason to halt now.
  if (halts(run_.options) && counters_.skipped == run_.progress.skipped) lift_halt();
}

void StepWatch::check(std::int64_t last_saved) {
  Progress& progress = run_.progress;
  counters_ = run_.step.counters();
  statistics_ = run_.step.statistics();
  if (const std::int64_t jumps = counters_.jumps - progress.jumps; jumps > 0) {
    progress.jumps = counters_.jumps;
    report_jumps(jumps);
  }
  if (const std::int64_t refused = counters_.skipped - progress.skipped; refused > 0) {
    progress.skipped = counters_.skipped;
    handle_refusals(refused, last_saved);
  }
}

void StepWatch::start_interval() {
  run_.progress.interval_start = counters_.updates;
  statistics_.loss_sum = 0;
  run_.step.write(statistics_);
}

void StepWatch::report_jumps(std::int64_t jumps) {
  nlohmann::ordered_json line = event("jump", run_.progress);
  line["jumps"] = jumps;
  line["loss"] = statistics_.jump_loss;
  line["limit"] = statistics_.jump_limit;
  run_.record(line);
  run_.observer.warn(fmt::format(
      "by step {}: the loss jumped{} to {:.3f} where at most {:.3f} was expected; the run goes on",
      run_.progress.step, jumps == 1 ? "" : fmt::format(" {} times, last", jumps),
      statistics_.jump_loss, statistics_.jump_limit));
}

/// Whether the first of the last row of refused steps was finite, and only its loss too high.
bool StepWatch::refused_finite() const {
  return std::isfinite(statistics_.refused_loss) && std::isfinite(statistics_.refused_norm);
}

/// Why the first of the last row of refused steps was refused.
std::string StepWatch::reason() const {
  std::string reason = fmt::format("loss {:.3f} is above the ceiling {:.3f}",
                                   statistics_.refused_loss, statistics_.refused_limit);
  if (!std::isfinite(statistics_.refused_loss))
    reason = "the loss is not finite";
  else if (!std::isfinite(statistics_.refused_norm))
    reason = "the gradient is not finite";
  const std::string culprit = run_.step.culprit(counters_);
  return culprit.empty() ? reason : reason + ", the gradient first in " + culprit;
}

void StepWatch::handle_refusals(std::int64_t refused, std::int64_t last_saved) {
  const std::int64_t step = run_.progress.step;
  // With kSkip the last row may be over, and its first step is then not known.
  const std::int64_t first = step - std::max<std::int64_t>(counters_.refused - 1, 0);
  record_refusals(first, refused);
  const std::string what = fmt::format("step {}: {}", first, reason());
  if (run_.options.on_divergence == OnDivergence::kStop) stop(what, last_saved);
  if (run_.options.on_divergence == OnDivergence::kRollBack) return roll_back(what);
  if (counters_.refused >= kMostRefused)
    throw SettingError(
        fmt::format(
            "training diverged: {}, and so it was for {} steps in a row; try a lower learning rate",
            what, counters_.refused),
        {SettingName::kLearningRate});
  run_.observer.warn(
      fmt::format("by step {}: {} more left out, last because {}", step, refused, reason()));
}

void StepWatch::record_refusals(std::int64_t first, std::int64_t refused) const {
  constexpr const char* kActions[] = {"stop", "skip", "rollback"};
  const std::string culprit = run_.step.culprit(counters_);
  nlohmann::ordered_json line = event("diverged", run_.progress);
  line["step"] = first;
  line["refused"] = refused;
  line["loss"] = statistics_.refused_loss;
  line["limit"] = statistics_.refused_limit;
  line["reason"] = reason();
  line["parameter"] = culprit.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(culprit);
  line["action"] = kActions[int(run_.options.on_divergence)];
  run_.record(line);
}

void StepWatch::stop(const std::string& what, std::int64_t last_saved) const {
  const bool finite = refused_finite();
  throw SettingError(
      fmt::format(
          "training diverged at {}; that step changed nothing, and the checkpoint of step {} is "
          "sound: try a lower learning rate or a lower limit of the gradient's norm, or resume "
          "from there {}",
          what, last_saved,
          finite ? "with loss ceiling 0, which is none, if the model may be so wrong"
                 : "with skip or rollback as the answer to divergence"),
      {SettingName::kLearningRate, SettingName::kClipNorm, SettingName::kResume,
       finite ? SettingName::kLossCeiling : SettingName::kOnDivergence});
}

void StepWatch::lift_halt() {
  counters_.refused = 0;
  run_.step.write(counters_);
}

void StepWatch::roll_back(const std::string& what) {
  Progress& progress = run_.progress;
  if (++progress.rollbacks > kMostRollbacks)
    throw std::runtime_error(fmt::format(
        "training diverged: {}, after {} returns to a checkpoint without a better validation", what,
        kMostRollbacks));
  std::int64_t good = progress.scheduled_save;
  if (run_.reads_checkpoints) good = run_.step.restore(scheduled_checkpoint()).step;
  run_.step.share();
  counters_ = run_.step.counters();
  statistics_ = run_.step.statistics();
  counters_.skipped = progress.skipped;
  counters_.jumps = progress.jumps;
  lift_halt();
  start_interval();
  run_.step.clear_carried_state();  // it was at another place of the text
  progress.rate_scale /= 2;
  run_.observer.warn(
      fmt::format("{}: back to the weights of step {} with half the learning rate", what, good));
}

Checkpoint StepWatch::scheduled_checkpoint() const {
  const auto& [options, observer, step, progress, record, reads] = run_;
  try {
    return load_checkpoint(checkpoint_directory(options.run_dir, progress.scheduled_save),
                           {.state = true, .most_bytes = most_bytes});
  } catch (const std::runtime_error& error) {
    observer.warn(error.what());
    return load_checkpoint(
        options.run_dir,
        {.latest = true, .state = true, .damaged = observer.warn, .most_bytes = most_bytes});
  }
}

}  // namespace unroll
