/// Reads back metrics.jsonl, which a run wrote: one JSON object per line, in the order of events.
/// The writer is MetricsLog.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <optional>
#include <string>
#include <vector>

namespace unroll {

/// A number that is null or missing in the file is NaN.
struct TrainRecord {
  std::int64_t step, epoch;
  double loss, gradient_norm, learning_rate, rate;  // rate: units per second
};

struct EvaluationRecord {
  std::int64_t step, epoch;
  double loss, accuracy;
  double mse = 0, pinball = 0;  // of a series, in its own units
};

/// A refused step, or one whose loss jumped.
struct EventRecord {
  std::string kind;  // "diverged" or "jump"
  std::int64_t step, epoch;
  double loss, limit;
  std::string reason, parameter, action;  // empty if not given
};

struct RunHistory {
  std::vector<TrainRecord> train{};
  std::vector<EvaluationRecord> valid{};
  std::optional<EvaluationRecord> test{};
  std::vector<EventRecord> events{};
  std::string unit = "tokens";         // what the rate counts
  std::int64_t steps = 0, epochs = 0;  // of the last event
  double seconds = 0;                  // of the last event

  /// The validation with the lowest loss, the first of equals; null if there is none.
  const EvaluationRecord* best() const;
};

/// Unknown events and keys are ignored. So is an incomplete last line, because the run may be
/// writing it. `name` is the name of the text in errors.
/// Errors    std::runtime_error, with the line number, if any other line is not a JSON object with
///           an event and its values, or is longer than any that a run writes; or if the text
///           cannot be read.
RunHistory read_run_history(std::istream& text, const std::string& name);
RunHistory read_run_history(const std::filesystem::path& file);

}  // namespace unroll
