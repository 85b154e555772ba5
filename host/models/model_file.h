/// A trained model in a checkpoint: what is needed to use it again anywhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "host/models/checkpoint.h"
#include "host/models/task.h"
#include "unroll/session.h"

namespace unroll {

/// Where the training text came from.
inline constexpr const char* kBuiltInCorpus = "built-in";

/// What config.json says of a training, beside its task.
struct RunDescription {
  std::string corpus;            // a path, or kBuiltInCorpus
  nlohmann::json training = {};  // the settings
  nlohmann::json metrics = {};   // on the validation text
};

struct LoadedModel {
  std::filesystem::path directory;
  std::int64_t step;
  std::shared_ptr<const Task> task;
  RunDescription description;
  std::shared_ptr<VariableStore> store;  // holds the parameters
};

/// For CheckpointLoad: the most bytes that a file of tensors has if config.json describes the
/// model. Errors: std::runtime_error as read_task().
std::int64_t most_bytes(const Checkpoint& checkpoint, const std::string& file);

/// `path` is a run folder, whose best checkpoint is taken, or one checkpoint. `warn` is told if
/// that is damaged and another one of the folder is taken. Errors    std::runtime_error as
/// load_checkpoint(); also if the configuration is not one of ours,
///           or a tensor is missing, surplus, of another shape or type, or not finite.
LoadedModel load_model(const std::filesystem::path& path, std::shared_ptr<Backend> backend,
                       const std::function<void(const std::string&)>& warn = {});

/// The configuration and the files of a checkpoint, and its parameters in a store.
LoadedModel model_from(const Checkpoint& checkpoint, std::shared_ptr<Backend> backend);

/// The model as the task that a command is for: a LanguageModelTask, for instance.
/// Errors    std::runtime_error if it is another.
template <typename T>
const T& task_of(const LoadedModel& model);

/// Writes a checkpoint's parameters to variables of the store, which are made where they are
/// missing.
/// Errors    std::runtime_error, before any variable is made, unless the tensors are exactly the
///           model's; also if a value is not finite.
void restore_parameters(const Checkpoint& checkpoint, const Task& task, VariableStore& store);

/// Throws std::runtime_error, with `where`, unless the file's tensors are exactly these.
void check_names(const SafetensorsFile& file, const std::vector<std::string>& names,
                 const std::string& where);

// ---- implementation

[[noreturn]] void fail_task(const LoadedModel& model, const std::string& expected);

template <typename T>
const T& task_of(const LoadedModel& model) {
  if (const auto* task = dynamic_cast<const T*>(model.task.get())) return *task;
  fail_task(model, T::kName);
}

}  // namespace unroll
