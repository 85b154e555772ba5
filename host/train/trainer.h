/// The training loop: epochs of [T, N] batches with carried state, validation after each, the best
/// model kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/data/language_corpus.h"
#include "host/models/language_model.h"
#include "host/train/evaluate.h"
#include "host/train/model_file.h"
#include "host/train/schedule.h"

namespace unroll {

struct TrainingOptions {
  std::int64_t batch = 20, bptt = 35, epochs = 40;
  OptimizerSpec optimizer;
  ScheduleOptions schedule;  // `steps` is filled in
  LossReduction reduction = LossReduction::kMean;
  LanguageModelInitialization initialization;
  std::int64_t chunk_rows = 256;
  std::int64_t log_interval = 200;
  std::uint64_t seed = 1111;
  std::filesystem::path run_dir;
};

struct TrainingResult {
  Evaluation valid, test;  // of the best model; of test no tokens where there is no such text
  std::int64_t best_epoch = 0, steps = 0, skipped = 0;
  double seconds = 0;
  std::filesystem::path checkpoint;
};

/// Receives one line at a time, without its newline.
using LineSink = std::function<void(const std::string&)>;

/// Trains from scratch, with a line for every interval and epoch to `log` and what needs attention
/// to `warn`.
/// Errors    std::runtime_error if a file cannot be written, or training diverged: a validation
/// loss
///           that is not finite, or an epoch in which no step could be applied;
///           std::invalid_argument if an option is out of its range or the text too short.
TrainingResult train(const LanguageModelConfig& config, const TrainingOptions& options,
                     const LanguageCorpus& corpus, const ModelDescription& description,
                     const std::shared_ptr<Backend>& backend, const LineSink& log,
                     const LineSink& warn);

}  // namespace unroll
