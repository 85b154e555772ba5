/// Short ways to the task of a language model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "host/models/language_model.h"
#include "host/train/training_checkpoint.h"

namespace unroll::test {

inline std::vector<VariableInfo> parameters(const LanguageModelConfig& config) {
  return LanguageModelTask(config).parameters();
}

/// Placeholders of its training and evaluation graphs.
inline Tensor inputs_of(const auto& graph) {
  return graph->inputs.at(0);
}
inline Tensor targets_of(const auto& graph) {
  return graph->inputs.at(1);
}

/// A language model that a test saves.
struct SavedLanguageModel {
  LanguageModelConfig config;
  Tokenizer tokenizer;
  RunDescription description = {"", nullptr, nullptr};

  std::filesystem::path save(const std::filesystem::path& run, std::int64_t step,
                             const VariableStore& store, const ResumeState* state = nullptr) const {
    const LanguageModelTask task(config, tokenizer);
    return save_model(run, step, {task, description, store, state}, {.best = true});
  }
};

inline const LanguageModelConfig& loaded_config(const LoadedModel& model) {
  return task_of<LanguageModelTask>(model).config();
}

}  // namespace unroll::test
