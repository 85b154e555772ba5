/// minimize(): gradients of all variables into one buffer, then one operation that clips and
/// updates.
#include "unroll/optimizer.h"

#include <algorithm>
#include <limits>

#include "host/graph/operation.h"
#include "host/ops/effects.h"
#include "host/ops/elementwise.h"
#include "host/ops/row_ops.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

int slots_of(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return 0;
    case OptimizerKind::kMomentum:
    case OptimizerKind::kRmsProp:
      return 1;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return 2;
  }
  throw std::invalid_argument("optimizer: unknown kind");
}

struct ApplyState final : OperationState {
  std::vector<ParameterUpdate> parameters;
};

/// Inputs: loss, its limit, learning rate, updates, skipped, norm, culprit; then for each parameter
/// itself and its slots; then ids of the sparse gradients; then all gradients, which lie side by
/// side.
class ApplyGradientsOperation final : public Operation {
 public:
  ApplyGradientsOperation(const OptimizerSpec& spec, std::vector<char> sparse)
      : spec_(spec), sparse_(std::move(sparse)) {}

  std::string kind() const override { return "apply_gradients"; }

  std::vector<TensorType> infer(std::span<const TensorType>) const override { return {no_value()}; }

  void plan(PlanContext& context) const override {
    auto state = std::make_shared<ApplyState>();
    state->parameters.resize(sparse_.size());
    std::vector<View> views;
    for (const TensorType& type : context.inputs)
      views.push_back({nullptr, type.shape, type.dtype});
    fill(*state, views);
    context.scratch_bytes = context.backend.apply_gradients_scratch_bytes(state->parameters);
    context.state = std::move(state);
  }

  void run(const RunContext& c) const override {
    auto& state = static_cast<ApplyState&>(*c.state);
    fill(state, c.inputs);
    c.backend.apply_gradients({.spec = spec_,
                               .loss = c.inputs[0],
                               .loss_limit = c.inputs[1],
                               .learning_rate = c.inputs[2],
                               .updates = c.inputs[kFirstWritten],
                               .skipped = c.inputs[kFirstWritten + 1],
                               .norm = c.inputs[kFirstWritten + 2],
                               .culprit = c.inputs[kFirstWritten + 3],
                               .parameters = state.parameters,
                               .scratch = c.scratch});
  }

  int first_packed_input() const override { return first_ids() + int(sparse_count()); }

  std::vector<int> written_inputs() const override {
    std::vector<int> written;
    for (int k = kFirstWritten; k < first_ids(); ++k) written.push_back(k);
    return written;
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor>) const override {
    return std::vector<Gradient>(node.inputs.size());
  }

 private:
  static constexpr int kFirstWritten = 3, kFirstParameter = 7;

  int first_ids() const {
    return kFirstParameter + int(sparse_.size()) * (1 + slots_of(spec_.kind));
  }
  std::ptrdiff_t sparse_count() const { return std::ranges::count(sparse_, char(1)); }

  void fill(ApplyState& state, std::span<const View> inputs) const {
    std::size_t next = kFirstParameter, ids = std::size_t(first_ids());
    std::size_t gradient = std::size_t(first_packed_input());
    for (std::size_t k = 0; k < sparse_.size(); ++k) {
      ParameterUpdate& p = state.parameters[k];
      p.sparse = sparse_[k] != 0;
      p.parameter = inputs[next++];
      for (int slot = 0; slot < slots_of(spec_.kind); ++slot) p.slots[slot] = inputs[next++];
      p.gradient = inputs[gradient++];
      p.ids = p.sparse ? inputs[ids++] : View();
    }
  }

  OptimizerSpec spec_;
  std::vector<char> sparse_;
};

/// `low` <= value < `high`.
void require_within(const char* what, double value, double low, double high) {
  if (!(value >= low && value < high))
    throw std::invalid_argument(std::string("optimizer: got ") + what + " " +
                                std::to_string(value) + ", expected at least " +
                                std::to_string(low) + " and below " + std::to_string(high));
}

}  // namespace

Optimizer::Optimizer(const OptimizerSpec& spec, double learning_rate)
    : spec_(spec), learning_rate_(learning_rate) {
  constexpr double kLarge = std::numeric_limits<float>::max();
  require_within("learning rate", learning_rate, 0, kLarge);
  require_within("momentum", spec.momentum, 0, 1);
  require_within("decay", spec.decay, 0, 1);
  require_within("beta1", spec.beta1, 0, 1);
  require_within("beta2", spec.beta2, 0, 1);
  require_within("epsilon", spec.epsilon, 0, kLarge);
  require_within("weight decay", spec.weight_decay, 0, kLarge);
  require_within("clip norm", spec.clip_norm, 0, kLarge);
  require_within("clip value", spec.clip_value, 0, kLarge);
}

Tensor Optimizer::minimize(Tensor cost) const {
  if (!cost) throw std::invalid_argument("minimize: no cost");
  return minimize(cost, cost.graph().variables(/*trainable_only=*/true));
}

Tensor Optimizer::minimize(Tensor cost, std::span<const Tensor> variables) const {
  const std::vector<Gradient> all = gradients(cost, variables);
  Graph& graph = cost.graph();
  const auto scalar = [&](const char* name, double value) {
    return graph.variable(name, {1}, constant(value), false);
  };
  const auto counter = [&](const char* name) {
    return graph.variable(name, {1}, constant(0), false, DType::kInt64);
  };
  std::vector<Tensor> inputs = {
      reshape(cost, {1}),
      scalar(kLossLimit, std::numeric_limits<double>::infinity()),
      scalar(kLearningRate, learning_rate_),
      counter(kUpdates),
      counter(kSkipped),
      scalar(kNorm, 0),
      counter(kCulprit),
  };
  std::vector<char> sparse;
  std::vector<Tensor> ids, values;
  for (std::size_t k = 0; k < all.size(); ++k) {
    if (!all[k]) continue;
    const Tensor& variable = variables[k];
    inputs.push_back(variable);
    for (int slot = 0; slot < slots_of(spec_.kind); ++slot)
      inputs.push_back(
          graph.variable("optimizer/" + variable.name() + (slot == 0 ? "/first" : "/second"),
                         variable.shape(), constant(0), false));
    sparse.push_back(all[k].is_sparse() ? 1 : 0);
    if (all[k].is_sparse()) {
      const CoalescedRows rows = coalesce_rows(all[k].ids, all[k].values, variable);
      ids.push_back(rows.ids);
      values.push_back(rows.rows);
    } else {
      // Packing needs memory that no other gradient shares.
      const bool shared = std::ranges::find(values, all[k].values) != values.end();
      values.push_back(shared ? copy(all[k].values) : own_memory(all[k].values));
    }
  }
  if (sparse.empty())
    throw std::invalid_argument("minimize: the cost depends on none of the variables");
  inputs.insert(inputs.end(), ids.begin(), ids.end());
  inputs.insert(inputs.end(), values.begin(), values.end());
  return add_node(std::make_shared<ApplyGradientsOperation>(spec_, std::move(sparse)),
                  std::move(inputs), "apply_gradients");
}

}  // namespace unroll
