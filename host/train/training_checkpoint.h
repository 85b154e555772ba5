/// A training run in a checkpoint: its model, and what is needed to go on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "host/models/model_file.h"
#include "host/models/task.h"
#include "host/train/checkpoint_writer.h"
#include "host/train/training_state.h"
#include "unroll/session.h"

namespace unroll {

/// What a run adds to its model so that it can be resumed.
struct ResumeState {
  Progress progress;
  std::vector<std::string> variables;  // beyond the parameters, by name
};

/// A model to be saved.
struct ModelToSave {
  const Task& task;
  const RunDescription& description;
  const VariableStore& store;
  const ResumeState* state = nullptr;
};

/// Saves parameters, configuration and files as checkpoint `step` of the run folder, and the state
/// if there is one. Tensors are written as they are read from the store: no copy is made.
/// Errors    as save_checkpoint().
std::filesystem::path save_model(const std::filesystem::path& run_dir, std::int64_t step,
                                 const ModelToSave& model, const CheckpointSave& options);

/// Writes the checkpoint's state to variables that the store has, and returns the progress.
/// Errors    std::runtime_error if there is none, its tensors are not exactly `variables`, or a
///           value is not a number, except among the optimiser's statistics.
Progress restore_state(const Checkpoint& checkpoint, const std::vector<std::string>& variables,
                       VariableStore& store);

}  // namespace unroll
