/// minimize() and apply(): gradients of all variables into one buffer, then one operation that
/// clips and updates.
#include "unroll/optimizer.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "host/graph/operation.h"
#include "host/ops/effects.h"
#include "host/ops/elementwise.h"
#include "host/ops/rows.h"
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

std::string to_string(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return "sgd";
    case OptimizerKind::kMomentum:
      return "momentum";
    case OptimizerKind::kRmsProp:
      return "rmsprop";
    case OptimizerKind::kAdam:
      return "adam";
    case OptimizerKind::kAdamW:
      return "adamw";
  }
  return "?";
}

/// Those that the kind reads.
void visit_settings(const AttributeVisitor& visit, const OptimizerSpec& spec) {
  const bool adam = spec.kind == OptimizerKind::kAdam || spec.kind == OptimizerKind::kAdamW;
  visit("optimizer", to_string(spec.kind));
  if (spec.kind == OptimizerKind::kMomentum) visit("momentum", spec.momentum);
  if (spec.kind == OptimizerKind::kRmsProp) visit("decay", spec.decay);
  if (adam) {
    visit("beta1", spec.beta1);
    visit("beta2", spec.beta2);
  }
  if (adam || spec.kind == OptimizerKind::kRmsProp) visit("epsilon", spec.epsilon);
  visit("weight_decay", spec.weight_decay);
  visit("clip_norm", spec.clip_norm);
  visit("clip_value", spec.clip_value);
}

struct ApplyState final : OperationState {
  std::vector<ParameterUpdate> parameters;
  bool prepared = false;
  std::unique_ptr<ParameterCopies> copies;
};

/// Inputs: loss, learning rate, counters, statistics; then for each parameter itself and its slots;
/// then ids of the sparse gradients; then all gradients, which lie side by side.
class ApplyGradientsOperation final : public Operation {
 public:
  ApplyGradientsOperation(const OptimizerSpec& spec, const LossGuardSpec& guard,
                          std::vector<char> sparse)
      : spec_(spec), guard_(guard), sparse_(std::move(sparse)) {}

  std::string kind() const override { return "apply_gradients"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit_settings(visit, spec_);
    visit("ceiling", guard_.ceiling);
    visit("halts", guard_.halts);
    visit("sparse", std::vector<std::int64_t>(sparse_.begin(), sparse_.end()));
  }

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

  /// By the time of a plan's first run the nodes before this one have made their copies of the
  /// parameters, and captures will hold the addresses of those asked for now.
  void prepare(const RunContext& c) const override {
    auto& state = static_cast<ApplyState&>(*c.state);
    if (std::exchange(state.prepared, true)) return;
    fill(state, c.inputs);
    state.copies = c.backend.parameter_copies(state.parameters);
  }

  void renew_written(const RunContext& c, const std::function<void()>& renew) const override {
    const auto& copies = static_cast<ApplyState&>(*c.state).copies;
    if (copies)
      copies->renew(renew);
    else
      renew();
  }

  void run(const RunContext& c) const override {
    auto& state = static_cast<ApplyState&>(*c.state);
    fill(state, c.inputs);
    c.backend.apply_gradients({.spec = spec_,
                               .guard = guard_,
                               .loss = c.inputs[0],
                               .learning_rate = c.inputs[1],
                               .counters = c.inputs[kFirstWritten],
                               .statistics = c.inputs[kFirstWritten + 1],
                               .parameters = state.parameters,
                               .scratch = c.scratch,
                               .copies = state.copies.get()});
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
  static constexpr int kFirstWritten = 2, kFirstParameter = 4;

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
  LossGuardSpec guard_;
  std::vector<char> sparse_;
};

/// `low` <= value < `high`.
void require_within(const char* what, double value, double low, double high) {
  if (!(value >= low && value < high))
    throw std::invalid_argument(std::string("optimizer: got ") + what + " " +
                                std::to_string(value) + ", expected at least " +
                                std::to_string(low) + " and below " + std::to_string(high));
}

void require_float32(const std::string& what, const Tensor& tensor) {
  if (tensor.dtype() != DType::kFloat32)
    throw std::invalid_argument("optimizer: got " + what + " of " + to_string(tensor.dtype()) +
                                ", expected float32");
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

Tensor Optimizer::minimize(Tensor cost, const MinimizeOptions& options) const {
  if (!cost) throw std::invalid_argument("minimize: no cost");
  require_float32("the cost", cost);
  if (options.loss) require_float32("the loss", options.loss);
  const std::vector<Tensor> variables =
      options.variables.empty() ? cost.graph().trainable_variables() : options.variables;
  const std::vector<Gradient> all = gradients(cost, variables);
  std::vector<VariableGradient> found;
  for (std::size_t k = 0; k < all.size(); ++k)
    if (all[k]) found.push_back({variables[k], all[k]});
  if (found.empty())
    throw std::invalid_argument("minimize: the cost depends on none of the variables");
  return apply(found, options.loss ? options.loss : cost, options.guard);
}

Tensor Optimizer::apply(const std::vector<VariableGradient>& gradients, Tensor loss,
                        const LossGuardSpec& guard) const {
  if (!loss) throw std::invalid_argument("apply: no loss");
  if (gradients.empty()) throw std::invalid_argument("apply: no gradients");
  require_float32("the loss", loss);
  Graph& graph = loss.graph();
  constexpr std::int64_t kCounts = sizeof(StepCounters) / sizeof(std::int64_t);
  constexpr std::int64_t kMeasures = sizeof(StepStatistics) / sizeof(float);
  std::vector<Tensor> inputs = {
      reshape(loss, {1}),
      graph.variable(kLearningRate, {1}, constant(learning_rate_), {.trainable = false}),
      graph.variable(kCounters, {kCounts}, constant(0),
                     {.trainable = false, .dtype = DType::kInt64}),
      graph.variable(kStatistics, {kMeasures}, constant(0), {.trainable = false}),
  };
  std::vector<char> sparse;
  std::vector<Tensor> ids, values;
  std::set<std::pair<std::int64_t, int>> packed;  // node and output of the dense gradients
  for (const auto& [variable, gradient] : gradients) {
    if (!variable || !gradient) throw std::invalid_argument("apply: an empty tensor");
    require_float32("variable '" + variable.name() + "'", variable);
    inputs.push_back(variable);
    for (int slot = 0; slot < slots_of(spec_.kind); ++slot)
      inputs.push_back(
          graph.variable("optimizer/" + variable.name() + (slot == 0 ? "/first" : "/second"),
                         variable.shape(), constant(0), {.trainable = false}));
    sparse.push_back(gradient.is_sparse() ? 1 : 0);
    if (gradient.is_sparse()) {
      const CoalescedRows rows = coalesce_rows(gradient.ids, gradient.values, variable);
      ids.push_back(rows.ids);
      values.push_back(rows.rows);
    } else {
      // Packing needs memory that no other gradient shares.
      const Tensor own = own_memory(gradient.values);
      const bool is_new = packed.emplace(own.node().id, own.index()).second;
      values.push_back(is_new ? own : copy(own));
    }
  }
  inputs.insert(inputs.end(), ids.begin(), ids.end());
  inputs.insert(inputs.end(), values.begin(), values.end());
  return add_node(std::make_shared<ApplyGradientsOperation>(spec_, guard, std::move(sparse)),
                  std::move(inputs), "apply_gradients");
}

}  // namespace unroll
