/// A language model in a checkpoint: what is needed to use it again anywhere.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/base/strict_json.h"
#include "host/data/tokenizer.h"
#include "host/models/language_model.h"
#include "host/train/checkpoint.h"
#include "host/train/training_state.h"
#include "unroll/session.h"

namespace unroll {

/// Where the training text came from.
inline constexpr const char* kBuiltInCorpus = "built-in";

/// The `model` member of config.json.
nlohmann::json model_to_json(const LanguageModelConfig& model);
/// Errors    std::runtime_error if it is not a language model's, or not one that check() passes.
LanguageModelConfig model_from_json(const JsonObject& json);

struct ModelDescription {
  LanguageModelConfig model;
  std::string corpus;            // a path, or kBuiltInCorpus
  nlohmann::json training = {};  // the flags it was trained with
  nlohmann::json metrics = {};   // on the validation text
};

/// What a run adds to its model so that it can be resumed.
struct ResumeState {
  Progress progress;
  std::vector<std::string> variables;  // beyond the parameters, by name
};

/// What the metadata of model.safetensors say, beside names and shapes: the whole model, so that
/// the file can be read without the others of its checkpoint.
struct StoredModel {
  LanguageModelConfig config;
  TokenizerKind tokenizer = TokenizerKind::kWord;
};
TensorMetadata model_metadata(const StoredModel& model);
/// Nothing if a file with such metadata is not one of ours, or an older version wrote it.
/// Errors    std::runtime_error as model_from_json().
std::optional<StoredModel> stored_model(const TensorMetadata& metadata, const std::string& where);

/// Saves parameters, configuration and tokenizer as checkpoint `step` of the run folder, and the
/// state if there is one. Tensors are written as they are read from the store: no copy is made.
/// Errors    as save_checkpoint().
std::filesystem::path save_model(const std::filesystem::path& run_dir, std::int64_t step,
                                 const ModelDescription& description, const Tokenizer& tokenizer,
                                 const VariableStore& store, const CheckpointSave& options,
                                 const ResumeState* state = nullptr);

struct LoadedModel {
  std::filesystem::path directory;
  std::int64_t step;
  ModelDescription description;
  Tokenizer tokenizer;
  std::shared_ptr<VariableStore> store;  // holds the parameters
};

/// For CheckpointLoad: the most bytes that a file of tensors has if config.json describes the
/// model. Errors: std::runtime_error if it is not a language model's.
std::int64_t most_bytes(const Checkpoint& checkpoint, const std::string& file);

/// `path` is a run folder, whose best checkpoint is taken, or one checkpoint. `warn` is told if
/// that is damaged and another one of the folder is taken. Errors    std::runtime_error as
/// load_checkpoint(); also if the configuration is not one of ours,
///           or a tensor is missing, surplus, of another shape or type, or not finite.
LoadedModel load_model(const std::filesystem::path& path, std::shared_ptr<Backend> backend,
                       const std::function<void(const std::string&)>& warn = {});

/// The configuration and the vocabulary of a checkpoint, and its parameters in a store.
LoadedModel model_from(const Checkpoint& checkpoint, std::shared_ptr<Backend> backend);

/// Writes a checkpoint's parameters to variables of the store, which are made where they are
/// missing.
/// Errors    std::runtime_error, before any variable is made, unless the tensors are exactly the
///           model's; also if a value is not finite.
void restore_parameters(const Checkpoint& checkpoint, const LanguageModelConfig& model,
                        VariableStore& store);

/// Writes the checkpoint's state to variables that the store has, and returns the progress.
/// Errors    std::runtime_error if there is none, its tensors are not exactly `variables`, or a
///           value is not a number, except among the optimiser's statistics.
Progress restore_state(const Checkpoint& checkpoint, const std::vector<std::string>& variables,
                       VariableStore& store);

}  // namespace unroll
