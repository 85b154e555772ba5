/// A language model in a checkpoint: what is needed to use it again anywhere.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "host/data/tokenizer.h"
#include "host/models/language_model.h"
#include "unroll/session.h"

namespace unroll {

/// Where the training text came from.
inline constexpr const char* kBuiltInCorpus = "built-in";

struct ModelDescription {
  LanguageModelConfig model;
  std::string corpus;            // a path, or kBuiltInCorpus
  nlohmann::json training = {};  // the flags it was trained with
  nlohmann::json metrics = {};   // on the validation text
};

/// Saves parameters, configuration and tokenizer as checkpoint `step` of the run folder.
/// Errors    as save_checkpoint().
std::filesystem::path save_model(const std::filesystem::path& run_dir, std::int64_t step,
                                 const ModelDescription& description, const Tokenizer& tokenizer,
                                 const VariableStore& store, bool best);

struct LoadedModel {
  std::filesystem::path directory;
  std::int64_t step;
  ModelDescription description;
  Tokenizer tokenizer;
  std::shared_ptr<VariableStore> store;  // holds the parameters
};

/// `path` is a run folder, of which the best checkpoint is taken, or one checkpoint.
/// Errors    std::runtime_error as load_checkpoint(); also if the configuration is not one of ours,
///           or a tensor is missing, surplus, or of another shape or type.
LoadedModel load_model(const std::filesystem::path& path, std::shared_ptr<Backend> backend);

}  // namespace unroll
