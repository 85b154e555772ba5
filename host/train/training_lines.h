/// The lines that a run writes: for people and their parsers, and as events of metrics.jsonl.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "host/train/evaluate.h"
#include "host/train/training_state.h"

namespace unroll {

inline const std::string kRule(89, '-'), kLastRule(89, '=');

/// Lines of PyTorch's word_language_model, which people have parsers for.
struct Interval {
  std::int64_t epoch, batch, batches;
  double learning_rate, milliseconds, loss;  // of a batch; nats per token
};
std::string interval_line(const Interval& interval);
std::string epoch_line(std::int64_t epoch, double seconds, const Evaluation& valid);
std::string step_line(std::int64_t epoch, std::int64_t step, const Evaluation& valid);

/// The epoch under way, or between two epochs the last.
std::int64_t epoch_of(const Progress& progress);

/// Members that every event has; `seconds` is added when it is written.
nlohmann::ordered_json event(const char* name, const Progress& progress);
nlohmann::ordered_json evaluation_event(const char* name, const Progress& progress,
                                        const Evaluation& evaluation);

}  // namespace unroll
