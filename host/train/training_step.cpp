#include "host/train/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace unroll {

TrainingStep::TrainingStep(const LanguageModelConfig& config, const TrainingGraph::Options& options,
                           std::shared_ptr<Backend> backend, std::uint64_t seed)
    : config_(config),
      options_(options),
      store_(std::make_shared<VariableStore>(std::move(backend), seed)),
      graph_(config, options),
      session_(graph_.graph, store_),
      fetches_{graph_.step, graph_.loss} {
  initialize_forget_bias(config, options.initialization, *store_);
}

std::vector<std::string> TrainingStep::state_variables() const {
  const std::vector<Tensor> trained = graph_.graph.variables(/*trainable_only=*/true);
  std::vector<std::string> names;
  for (const Tensor& variable : graph_.graph.variables())
    if (std::ranges::find(trained, variable) == trained.end()) names.push_back(variable.name());
  return names;
}

std::array<Feed, 2> TrainingStep::feeds(std::span<const std::int32_t> inputs,
                                        std::span<const std::int32_t> targets,
                                        std::int64_t steps) const {
  return {Feed(graph_.inputs, inputs, Shape{steps, options_.batch}),
          Feed(graph_.targets, targets, Shape{steps * options_.batch})};
}

TrainingMemory TrainingStep::prepare(std::int64_t steps) {
  const std::vector<std::int32_t> none(std::size_t(steps * options_.batch), 0);
  session_.prepare(fetches_, feeds(none, none, steps));
  TrainingMemory memory;
  for (const Tensor& variable : graph_.graph.variables())
    memory.variables += std::int64_t(store_->view(variable.name()).bytes());
  for (const Tensor& variable : graph_.graph.variables(/*trainable_only=*/true))
    memory.parameters += std::int64_t(store_->view(variable.name()).bytes());
  memory.working = std::int64_t(session_.arena_bytes());
  return memory;
}

void TrainingStep::write_scalar(const char* name, double value) {
  const auto single = float(value);
  store_->write<float>(name, std::span<const float>(&single, 1));
}

std::int64_t TrainingStep::updates() const {
  return store_->read<std::int64_t>(Optimizer::kUpdates).front();
}

StepOutcome TrainingStep::run(const Batch& batch, double learning_rate, double loss_limit) {
  // The loss that the device sees is per token, or summed over time.
  const double scale = options_.reduction == LossReduction::kTime ? double(batch.steps) : 1;
  write_scalar(Optimizer::kLearningRate, learning_rate);
  write_scalar(Optimizer::kLossLimit, loss_limit * scale);
  const std::int64_t before = updates();

  session_.run(fetches_, feeds(batch.inputs, batch.targets, batch.steps));

  float loss = 0;
  session_.read(graph_.loss, std::span<float>(&loss, 1));
  return {double(loss) / scale, updates() > before};
}

double TrainingStep::gradient_norm() const {
  return double(store_->read<float>(Optimizer::kNorm).front());
}

std::string TrainingStep::culprit() const {
  const std::int64_t index = store_->read<std::int64_t>(Optimizer::kCulprit).front();
  return index < 0 ? ""
                   : graph_.graph.variables(/*trainable_only=*/true).at(std::size_t(index)).name();
}

StepOutcome TrainingStep::run_verified(const Batch& batch, double learning_rate,
                                       double loss_limit) {
  std::vector<std::string> names;
  for (const Tensor& variable : graph_.graph.variables()) names.push_back(variable.name());
  const std::int64_t step = count();
  const HostTensors before = read_variables(*store_, names);
  run(batch, learning_rate, loss_limit);
  const HostTensors first = read_variables(*store_, names);
  for (const TensorData& tensor : before.tensors) write_variable(tensor, "", *store_);
  set_count(step);
  const StepOutcome outcome = run(batch, learning_rate, loss_limit);
  for (std::size_t k = 0; k < names.size(); ++k)
    if (first.bytes[k] != read_variables(*store_, {names[k]}).bytes.front())
      throw std::runtime_error(
          fmt::format("step {} computed twice gave different bits in {}: memory or processor are "
                      "not to be trusted",
                      step + 1, names[k]));
  return outcome;
}

void TrainingStep::clear_carried_state() {
  clear_state(config_, TrainingGraph::kName, *store_);
}

}  // namespace unroll
