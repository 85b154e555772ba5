#include "host/train/training_lines.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

namespace unroll {

namespace {

/// " | valid loss  4.50 | valid ppl    90.02"; the training's own have no name.
std::string loss_and_measures(const std::string& name, const Measured& measured) {
  const std::string prefix = " | " + name + (name.empty() ? "" : " ");
  std::string text = fmt::format("{}loss {:5.2f}", prefix, measured.loss);
  for (const Measure& measure : measured.measures)
    if (measure.in_lines && (measure.of_loss || !name.empty()))
      text += fmt::format("{}{} {}", prefix, measure.name, measure.text);
  return text;
}

}  // namespace

std::string interval_line(const Interval& i, const Measured& train) {
  const double lr = i.learning_rate;
  return fmt::format("| epoch {:3d} | {:5d}/{:5d} batches | lr {} | ms/batch {:5.2f}{}", i.epoch,
                     i.batch, i.batches,
                     lr >= 0.1 ? fmt::format("{:.2f}", lr) : fmt::format("{:.6f}", lr),
                     i.milliseconds, loss_and_measures("", train));
}

std::string epoch_line(std::int64_t epoch, double seconds, const Measured& valid) {
  return fmt::format("| end of epoch {:3d} | time: {:5.2f}s{}", epoch, seconds,
                     loss_and_measures("valid", valid));
}

std::string step_line(std::int64_t epoch, std::int64_t step, const Measured& valid) {
  return fmt::format("| epoch {:3d} | step {:8d}{}", epoch, step,
                     loss_and_measures("valid", valid));
}

std::string last_line(const std::string& name, const Measured& measured) {
  return "| End of training" + loss_and_measures(name, measured);
}

std::int64_t epoch_of(const Progress& progress) {
  return progress.position == 0 && progress.step > 0 ? progress.epoch - 1 : progress.epoch;
}

std::string utc_now() {
  using namespace std::chrono;
  const auto now = floor<milliseconds>(system_clock::now());
  const auto second = floor<seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(system_clock::to_time_t(second)),
                     (now - second).count());
}

nlohmann::ordered_json event(const char* name, const Progress& progress) {
  return {{"event", name}, {"step", progress.step}, {"epoch", epoch_of(progress)}};
}

nlohmann::ordered_json evaluation_event(const char* name, const Progress& progress,
                                        const Measured& measured) {
  nlohmann::ordered_json line = event(name, progress);
  line["loss"] = measured.loss;
  for (const Measure& measure : measured.measures) line[measure.name] = measure.value;
  return line;
}

}  // namespace unroll
