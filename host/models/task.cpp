#include "host/models/task.h"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

#include "host/base/strict_json.h"
#include "host/base/utf8.h"
#include "host/models/checkpoint.h"
#include "host/models/language_model.h"
#include "host/models/sequence_classifier.h"
#include "host/models/sequence_tagger.h"
#include "host/models/series_task.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// A task that checkpoints may be of.
struct TaskKind {
  const char* name;
  int version;
  std::shared_ptr<const Task> (*read)(const Checkpoint& checkpoint);
  /// From the `model` member of config.json: a task without its files.
  std::shared_ptr<const Task> (*configured)(const JsonObject& model);
};

template <typename T>
constexpr TaskKind kind_of() {
  return {
      T::kName, T::kVersion,
      [](const Checkpoint& checkpoint) -> std::shared_ptr<const Task> {
        return T::read(checkpoint);
      },
      [](const JsonObject& model) -> std::shared_ptr<const Task> { return T::configured(model); }};
}

constexpr std::array kTasks{kind_of<LanguageModelTask>(), kind_of<SequenceClassifier>(),
                            kind_of<SequenceTagger>(), kind_of<SeriesTask>()};

std::string task_names() {
  std::string names;
  for (const TaskKind& kind : kTasks) names += (names.empty() ? "" : ", ") + std::string(kind.name);
  return names;
}

JsonObject config_of(const Checkpoint& checkpoint) {
  return {checkpoint.config, (checkpoint.directory / "config.json").string()};
}

const TaskKind& kind_of(const Checkpoint& checkpoint) {
  const JsonObject config = config_of(checkpoint);
  if (!config.has("task")) return kTasks.front();  // versions before there were others
  const JsonObject task = config.object("task");
  const std::string name = task.string("name");
  for (const TaskKind& kind : kTasks) {
    if (kind.name != name) continue;
    const std::int64_t version = task.integer("version", 1, INT32_MAX);
    if (version > kind.version)
      throw std::runtime_error(
          fmt::format("{}: version: got {}, expected at most {}: it was written by a newer version "
                      "of this program",
                      task.where(), version, kind.version));
    return kind;
  }
  throw std::runtime_error(fmt::format("{}: name: got {}, expected one of {}", task.where(),
                                       in_quotes(name), task_names()));
}

}  // namespace

std::int64_t parameter_count(const Task& task) {
  std::int64_t count = 0;
  for (const VariableInfo& info : task.parameters()) count += info.type.shape.elements();
  return count;
}

std::unique_ptr<TrainingGraph> Task::training_graph(const TrainingGraphOptions& options) const {
  auto made = std::make_unique<TrainingGraph>();
  TrainingPart part = training_part(made->graph, {.batch = options.batch,
                                                  .reduction = options.reduction,
                                                  .chunk_rows = options.chunk_rows,
                                                  .initialization = options.initialization});
  std::vector<Tensor> parts = std::move(part.carries);
  parts.push_back(Optimizer(options.optimizer, options.learning_rate)
                      .minimize(part.cost, {.loss = part.loss, .guard = options.guard}));
  made->inputs = std::move(part.inputs);
  made->step = parts.size() == 1 ? parts.front() : group(parts);
  made->carried = std::move(part.carried);
  return made;
}

std::vector<VariableInfo> variables_of(const Graph& graph) {
  std::vector<VariableInfo> infos;
  for (const Tensor& variable : graph.variables())
    infos.push_back({variable.name(), {variable.shape(), variable.dtype()}, constant(0), true});
  return infos;
}

nlohmann::json task_to_json(const Task& task) {
  return {{"name", task.name()}, {"version", task.version()}};
}

std::shared_ptr<const Task> read_task(const Checkpoint& checkpoint) {
  return kind_of(checkpoint).read(checkpoint);
}

std::vector<VariableInfo> model_parameters(const Checkpoint& checkpoint) {
  return kind_of(checkpoint).configured(config_of(checkpoint).object("model"))->parameters();
}

}  // namespace unroll
