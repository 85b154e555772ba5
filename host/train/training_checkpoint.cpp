#include "host/train/training_checkpoint.h"

#include <stdexcept>
#include <utility>

#include "host/base/strict_json.h"
#include "host/models/checkpoint_format.h"
#include "host/models/stored_variables.h"
#include "unroll/optimizer.h"
#include "unroll/version.h"

namespace unroll {
namespace {

constexpr const char* kProgress = "progress.json";

}  // namespace

std::filesystem::path save_model(const std::filesystem::path& run_dir, std::int64_t step,
                                 const ModelToSave& model, const CheckpointSave& options) {
  const auto& [task, description, store, state] = model;
  CheckpointContent content;
  content.config = task.to_json();
  content.config.update({{"task", task_to_json(task)},
                         {"corpus", description.corpus},
                         {"training", description.training},
                         {"metrics", description.metrics},
                         {"unroll_version", kVersion}});
  TaskFiles files = task.files();
  content.vocabulary = std::move(files.vocabulary);
  content.files = std::move(files.others);
  content.metadata = task.metadata();
  std::vector<std::string> parameters;
  for (const VariableInfo& info : task.parameters()) parameters.push_back(info.name);
  content.tensors = variable_tensors(store, parameters);
  for (const auto& [name, parameter] : task.copies()) {
    content.tensors.push_back(variable_tensors(store, {parameter}).front());
    content.tensors.back().name = name;
  }
  if (state) {
    content.state = variable_tensors(store, state->variables);
    content.files[kProgress] = format_json(to_json(state->progress), kProgress);
  }
  return save_checkpoint(run_dir, step, content, options);
}

Progress restore_state(const Checkpoint& checkpoint, const std::vector<std::string>& variables,
                       VariableStore& store) {
  const std::filesystem::path& where = checkpoint.directory;
  const auto progress = checkpoint.files.find(kProgress);
  if (!checkpoint.state || progress == checkpoint.files.end())
    throw std::runtime_error(where.string() +
                             ": holds a model without the state of its training, expected "
                             "both to go on from");
  const std::string tensors = (where / checkpoint_format::kState).string();
  check_names(*checkpoint.state, variables, tensors);
  for (const std::string& name : variables)
    write_variable(*checkpoint.state->find(name), tensors,
                   // A refused step may have left infinity or NaN there.
                   name == Optimizer::kStatistics ? Accepted::kAny : Accepted::kNumbers, store);
  const std::string file = (where / kProgress).string();
  const nlohmann::json json = parse_json(progress->second, file);
  return progress_from(JsonObject(json, file));
}

}  // namespace unroll
