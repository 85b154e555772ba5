#include "host/train/training_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>

#include "host/base/utf8.h"
#include "unroll/backend.h"
#include "unroll/optimizer.h"

namespace unroll {
namespace {

constexpr std::int64_t kMostCounted = std::int64_t(1) << 53;  // sums of some do not overflow
constexpr double kLongest = 1e15;                             // seconds
constexpr double kFinite = std::numeric_limits<double>::max();

/// Lists the members of Progress once, for both directions.
template <typename P, typename Visit>
void visit(P& p, Visit&& member) {
  member("step", p.step, 0, kMostCounted);
  member("epoch", p.epoch, 1, kMostCounted);
  member("position", p.position, 0, kMostCounted);
  member("best_loss_sum", p.best.loss_sum, -kFinite, kFinite);
  member("best_count", p.best.count, 0, kMostCounted);
  member("best_hits", p.best.hits, 0, kMostCounted);
  member("best_step", p.best_step, 0, kMostCounted);
  member("best_epoch", p.best_epoch, 0, kMostCounted);
  member("last_loss_sum", p.last.loss_sum, -kFinite, kFinite);
  member("last_count", p.last.count, 0, kMostCounted);
  member("last_hits", p.last.hits, 0, kMostCounted);
  member("evaluated_step", p.evaluated_step, -1, kMostCounted);
  member("without_gain", p.without_gain, 0, kMostCounted);
  member("epoch_improved", p.epoch_improved, 0, 0);
  member("rate_divisor", p.rate_divisor, 1, kFinite);
  member("rate_scale", p.rate_scale, 0, 1);
  member("scheduled_save", p.scheduled_save, 0, kMostCounted);
  member("rollbacks", p.rollbacks, 0, kMostCounted);
  member("skipped", p.skipped, 0, kMostCounted);
  member("jumps", p.jumps, 0, kMostCounted);
  member("interval_start", p.interval_start, 0, kMostCounted);
  member("metrics_bytes", p.metrics_bytes, 0, kMostCounted);
  member("seconds", p.seconds, 0, kLongest);
}

struct Count {
  const char* name;
  std::int64_t value;
};

void require_at_most(const std::string& where, const Count& small, const Count& large) {
  if (small.value > large.value)
    throw std::runtime_error(fmt::format("{}: {}: got {}, expected at most {}, {}", where,
                                         small.name, small.value, large.value, large.name));
}

/// Refuses numbers that contradict each other although each is in its range.
void check(const Progress& p, const std::string& where) {
  const Count step{"step", p.step}, epoch{"epoch", p.epoch};
  for (const Count& part :
       {Count{"best_step", p.best_step}, Count{"evaluated_step", p.evaluated_step},
        Count{"without_gain", p.without_gain}, Count{"scheduled_save", p.scheduled_save},
        Count{"skipped", p.skipped}, Count{"jumps", p.jumps},
        Count{"interval_start", p.interval_start}})
    require_at_most(where, part, step);
  require_at_most(where, {"best_epoch", p.best_epoch}, epoch);
  require_at_most(where, {"best_hits", p.best.hits}, {"best_count", p.best.count});
  require_at_most(where, {"last_hits", p.last.hits}, {"last_count", p.last.count});
  const bool evaluated = p.evaluated_step >= 0;
  if ((p.last.count > 0) != evaluated || (p.best.count > 0) != evaluated)
    throw std::runtime_error(fmt::format(
        "{}: got counts {} and {} of the best and the last validation, and evaluated_step {}, "
        "expected none and -1, or both validations",
        where, p.best.count, p.last.count, p.evaluated_step));
  if (evaluated && !(std::isfinite(p.best.loss()) && std::isfinite(p.last.loss())))
    throw std::runtime_error(where + ": got a validation whose loss is not finite");
}

}  // namespace

nlohmann::json to_json(const Progress& progress) {
  nlohmann::json json;
  visit(progress, [&](const char* name, const auto& value, auto, auto) { json[name] = value; });
  return json;
}

Progress progress_from(const JsonObject& json) {
  struct Read {
    const JsonObject& json;
    void operator()(const std::string& name, std::int64_t& value, std::int64_t low,
                    std::int64_t high) const {
      // An older version did not count jumps, and had another name for a count.
      if (const std::string old = name.substr(0, name.find("_count")) + "_tokens"; json.has(old))
        value = json.integer(old, low, high);
      else if (name != "jumps" || json.has(name))
        value = json.integer(name, low, high);
    }
    void operator()(const std::string& name, double& value, double low, double high) const {
      // Older versions kept the sum of ln p.
      if (const std::string old = name.substr(0, name.find("_loss_sum")) + "_log_prob";
          json.has(old))
        value = -json.number(old, low, high);
      else
        value = json.number(name, low, high);
    }
    void operator()(const char* name, bool& value, int, int) const { value = json.boolean(name); }
  };
  Progress progress;
  visit(progress, Read{json});
  check(progress, json.where());
  return progress;
}

void check_place(const Progress& progress, const EpochShape& epoch, const std::string& where) {
  const std::int64_t batches = 1 + (epoch.length - 1) / epoch.stride, position = progress.position;
  const bool at_end = position == epoch.length;
  const std::int64_t batch = at_end ? batches : position / epoch.stride;
  const std::int64_t before = progress.step - batch;  // steps of the epochs before
  if (position <= epoch.length && (at_end || position % epoch.stride == 0) &&
      before % batches == 0 && before / batches == progress.epoch - 1)
    return;
  throw std::runtime_error(fmt::format(
      "{}: got step {} at position {} of epoch {}, which contradict each other: expected epochs of "
      "{} batches of {} positions, {} in all",
      where, progress.step, position, progress.epoch, batches, epoch.stride, epoch.length));
}

void check_guard(const GuardState& state, const Progress& progress, const std::string& where) {
  const StepCounters& c = state.counters;
  const Count step{"step", progress.step}, skipped{"skipped", c.skipped}, jumps{"jumps", c.jumps};
  const Count updates{"updates", c.updates};
  for (const Count& count : {updates, skipped, jumps, Count{"refused", c.refused}}) {
    if (count.value < 0)
      throw std::runtime_error(
          fmt::format("{}: {}: got {}, expected 0 or more", where, count.name, count.value));
    require_at_most(where, count, step);
  }
  require_at_most(where, {"updates and skipped", c.updates + c.skipped}, step);
  require_at_most(where, {"refused", c.refused}, skipped);
  require_at_most(where, {"skipped of progress.json", progress.skipped}, skipped);
  require_at_most(where, {"jumps of progress.json", progress.jumps}, jumps);
  require_at_most(where, {"interval_start of progress.json", progress.interval_start}, updates);
  if (c.culprit < -1 || c.culprit >= state.parameters)
    throw std::runtime_error(fmt::format("{}: culprit: got {}, expected -1 or one of {} parameters",
                                         where, c.culprit, state.parameters));
  const StepStatistics& s = state.statistics;
  if (!std::isfinite(s.loss_mean) || !std::isfinite(s.loss_variance) || s.loss_variance < 0 ||
      std::isnan(s.loss_sum))
    throw std::runtime_error(fmt::format(
        "{}: got a loss of mean {}, variance {} and sum {}, expected numbers, no variance below 0",
        where, s.loss_mean, s.loss_variance, s.loss_sum));
}

}  // namespace unroll
