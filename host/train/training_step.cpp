#include "host/train/training_step.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstddef>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

#include "host/models/feeds.h"
#include "host/models/model_file.h"
#include "host/models/stored_variables.h"
#include "host/train/training_checkpoint.h"

namespace unroll {

TrainingStep::TrainingStep(const Task& task, const TrainingGraphOptions& options,
                           std::shared_ptr<Backend> backend, std::uint64_t seed)
    : task_(task),
      store_(std::make_shared<VariableStore>(std::move(backend), seed)),
      graph_(task.training_graph(options)),
      session_(graph_->graph, store_),
      fetches_{graph_->step} {
  feeds_.reserve(graph_->inputs.size());
  task.initialize(options.initialization, *store_);
}

std::vector<std::string> TrainingStep::state_variables() const {
  std::set<std::string> parameters;  // frozen ones, too
  for (const VariableInfo& info : task_.parameters()) parameters.insert(info.name);
  std::vector<std::string> names;
  for (const Tensor& variable : graph_->graph.variables())
    if (!parameters.contains(variable.name())) names.push_back(variable.name());
  return names;
}

const std::vector<Feed>& TrainingStep::feeds(const Batch& batch) {
  make_feeds(graph_->inputs, batch, feeds_);
  return feeds_;
}

TrainingMemory TrainingStep::memory(const Batch& largest) {
  TrainingMemory memory;
  for (const Tensor& variable : graph_->graph.variables())
    memory.variables += std::int64_t(store_->view(variable.name()).bytes());
  for (const VariableInfo& info : task_.parameters())
    memory.parameters += std::int64_t(store_->view(info.name).bytes());
  memory.working = std::int64_t(session_.required_bytes(fetches_, feeds(largest)));
  return memory;
}

void TrainingStep::prepare(const Batch& largest) {
  session_.prepare(fetches_, feeds(largest));
}

void TrainingStep::run(const Batch& batch, double learning_rate) {
  if (const auto rate = float(learning_rate); learning_rate_ != rate) {
    store_->write<float>(Optimizer::kLearningRate, std::span<const float>(&rate, 1));
    learning_rate_ = rate;
  }
  session_.run(fetches_, feeds(batch));
}

StepCounters TrainingStep::counters() const {
  std::array<std::int64_t, sizeof(StepCounters) / sizeof(std::int64_t)> values;
  store_->read<std::int64_t>(Optimizer::kCounters, values);
  return std::bit_cast<StepCounters>(values);
}

StepStatistics TrainingStep::statistics() const {
  std::array<float, sizeof(StepStatistics) / sizeof(float)> values;
  store_->read<float>(Optimizer::kStatistics, values);
  return std::bit_cast<StepStatistics>(values);
}

void TrainingStep::write(const StepCounters& counters) {
  using Values = std::array<std::int64_t, sizeof(StepCounters) / sizeof(std::int64_t)>;
  store_->write<std::int64_t>(Optimizer::kCounters, std::bit_cast<Values>(counters));
}

void TrainingStep::write(const StepStatistics& statistics) {
  using Values = std::array<float, sizeof(StepStatistics) / sizeof(float)>;
  store_->write<float>(Optimizer::kStatistics, std::bit_cast<Values>(statistics));
}

std::string TrainingStep::culprit(const StepCounters& counters) const {
  if (counters.culprit < 0) return "";
  const auto index = std::size_t(counters.culprit);
  return graph_->graph.trainable_variables().at(index).name();
}

Progress TrainingStep::restore(const Checkpoint& checkpoint) {
  learning_rate_.reset();
  restore_parameters(checkpoint, task_, *store_);
  const Progress progress = restore_state(checkpoint, state_variables(), *store_);
  if (progress.step != checkpoint.step)
    throw std::runtime_error(
        fmt::format("{}/progress.json: step: got {}, expected {} as in manifest.json",
                    checkpoint.directory.string(), progress.step, checkpoint.step));
  const std::string where = (checkpoint.directory / "state.safetensors").string();
  const std::size_t parameters = graph_->graph.trainable_variables().size();
  check_guard({counters(), statistics(), std::int64_t(parameters)}, progress, where);
  return progress;
}

void TrainingStep::run_verified(const Batch& batch, double learning_rate) {
  std::vector<std::string> names;
  for (const Tensor& variable : graph_->graph.variables()) names.push_back(variable.name());
  const std::int64_t step = count();
  const std::vector<TensorData> tensors = variable_tensors(*store_, names);
  const auto copies = [&] {
    std::vector<std::vector<std::byte>> bytes;
    for (const TensorData& tensor : tensors) bytes.push_back(tensor.bytes.all());
    return bytes;
  };
  const std::vector<std::vector<std::byte>> before = copies();
  run(batch, learning_rate);
  const std::vector<std::vector<std::byte>> first = copies();
  for (std::size_t k = 0; k < names.size(); ++k) {
    TensorData earlier = tensors[k];
    earlier.bytes = TensorBytes(before[k]);
    write_variable(earlier, "", Accepted::kAny, *store_);
  }
  learning_rate_.reset();
  set_count(step);
  run(batch, learning_rate);
  for (std::size_t k = 0; k < names.size(); ++k)
    if (first[k] != tensors[k].bytes.all())
      throw std::runtime_error(
          fmt::format("step {} computed twice gave different bits in {}: memory or processor are "
                      "not to be trusted",
                      step + 1, names[k]));
}

void TrainingStep::clear_carried_state() {
  clear_variables(graph_->carried, *store_);
}

}  // namespace unroll
