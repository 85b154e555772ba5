/// What `unroll train` needs of a task: from settings and data to the task and its examples. Each
/// task has a file, and a row in task_run.cpp.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/strict_json.h"
#include "host/cli/train_settings.h"
#include "host/models/task.h"
#include "host/train/trainer.h"

namespace unroll::cli {

/// The data of a run.
struct DataSource {
  std::filesystem::path path;                     // empty: the built-in grammar
  std::vector<std::filesystem::path> files = {};  // of three texts in place of the path's
  std::filesystem::path cache_dir;
  /// TaskRun::fingerprint that the data must have; empty: any.
  std::string fingerprint;
  const std::atomic<bool>* stop;
  /// The one whose file --tokenizer names.
  std::optional<Tokenizer> tokenizer = {};
};

struct TaskRun {
  std::shared_ptr<const Task> task;
  TaskExamples examples;
  /// Equal exactly for equal data read in the same way, from any place.
  std::string fingerprint;
  std::shared_ptr<const void> memory = {};  // what the examples point to
};

/// Throws UsageError if the task needs --data, and there are none.
void require_data(const TrainSettings& settings, const std::string& data);

/// Reads the data, notes what they are like, and makes the task.
/// Errors    std::runtime_error if the data are missing or not what the task reads; Interrupted.
TaskRun prepare_task(const TrainSettings& settings, const DataSource& source);

// Two functions for each task.
TaskRun prepare_language_model(const TrainSettings& settings, const DataSource& source);
bool describes_language_model(const TrainSettings& settings, const JsonObject& model);
TaskRun prepare_classifier(const TrainSettings& settings, const DataSource& source);
bool describes_classifier(const TrainSettings& settings, const JsonObject& model);
TaskRun prepare_tagger(const TrainSettings& settings, const DataSource& source);
bool describes_tagger(const TrainSettings& settings, const JsonObject& model);
TaskRun prepare_series(const TrainSettings& settings, const DataSource& source);
bool describes_series(const TrainSettings& settings, const JsonObject& model);

/// Whether the `model` member of config.json is a model of these settings.
/// Errors    std::runtime_error if it is not a model of their task.
bool describes(const TrainSettings& settings, const JsonObject& model);

}  // namespace unroll::cli
