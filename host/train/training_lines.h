/// The lines that a run writes: for people and their parsers, and as events of metrics.jsonl.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/models/evaluation.h"
#include "host/train/training_state.h"

namespace unroll {

inline const std::string kRule(89, '-'), kLastRule(89, '=');

/// A loss and what a task says beside it.
struct Measured {
  double loss;
  std::vector<Measure> measures;
};

/// Lines of PyTorch's word_language_model, which people have parsers for.
struct Interval {
  std::int64_t epoch, batch, batches;
  double learning_rate, milliseconds;  // of a batch
};
/// `train`: means over the interval; only measures that follow from the loss are shown.
std::string interval_line(const Interval& interval, const Measured& train);
std::string epoch_line(std::int64_t epoch, double seconds, const Measured& valid);
std::string step_line(std::int64_t epoch, std::int64_t step, const Measured& valid);
/// `name`: "valid" or "test".
std::string last_line(const std::string& name, const Measured& measured);

/// The epoch under way, or between two epochs the last.
std::int64_t epoch_of(const Progress& progress);

/// ISO 8601 in UTC: 2026-03-01T12:30:05.250Z.
std::string utc_now();

/// Members that every event has; `seconds` and `time` are added when it is written.
nlohmann::ordered_json event(const char* name, const Progress& progress);
nlohmann::ordered_json evaluation_event(const char* name, const Progress& progress,
                                        const Measured& measured);

}  // namespace unroll
