/// What a run wrote into its metrics.jsonl, read back: one JSON object per line, in the order in
/// which things happened. The writer is MetricsLog.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <optional>
#include <string>
#include <vector>

namespace unroll {

/// A number that the file gives as null, or not at all, is NaN.
struct TrainRecord {
  std::int64_t step, epoch;
  double loss, gradient_norm, learning_rate, tokens_per_second;  // loss: nats per token
};

struct EvaluationRecord {
  std::int64_t step, epoch;
  double loss;  // nats per token
};

/// Steps that were refused, or whose loss jumped.
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
  std::int64_t steps = 0, epochs = 0;  // of the last event
  double seconds = 0;                  // likewise

  /// The validation of lowest loss, the first of equals; null if there is none.
  const EvaluationRecord* best() const;
};

/// Unknown events and keys are ignored, and so is a last line without an end that is not whole: the
/// run may be writing it. `name` is how errors call the text.
/// Errors    std::runtime_error, with the number of the line, at any other line that is not a JSON
///           object with an event and what belongs to it, or is longer than any that a run writes;
///           or if the text cannot be read.
RunHistory read_run_history(std::istream& text, const std::string& name);
RunHistory read_run_history(const std::filesystem::path& file);

}  // namespace unroll
