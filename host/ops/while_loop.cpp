/// A loop of which the host reads the condition before each iteration.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "host/ops/control_flow.h"
#include "unroll/math/philox.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

struct WhileState final : OperationState {
  std::unique_ptr<Schedule> condition, body;
  std::string name;                    // the node's
  std::vector<StepNumbers> inside;     // of one iteration: the condition's, then the body's
  std::vector<std::int64_t> uploaded;  // the iteration's number, then those inside
  // Offsets in the scratch memory.
  std::size_t condition_arena = 0, body_arena = 0, predicate = 0, number = 0;
  std::vector<std::size_t> now, next;  // per state; `now` only of those that have no output
};

/// Inputs: the initial states, what the condition captures, what the body captures.
class WhileOperation final : public Operation {
 public:
  WhileOperation(std::size_t states, std::shared_ptr<const Body> condition,
                 std::shared_ptr<const Body> body, std::int64_t max_iterations)
      : states_(states),
        condition_(std::move(condition)),
        body_(std::move(body)),
        max_iterations_(max_iterations) {}

  std::string kind() const override { return "while_loop"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("states", std::int64_t(states_));
    visit("max_iterations", max_iterations_);
  }

  std::vector<NamedBody> bodies() const override {
    return {{"condition", &condition_->graph}, {"body", &body_->graph}};
  }

  bool host_decides() const override { return true; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_predicate(condition_->infer(for_condition(inputs)).front(), "the condition");
    const std::vector<TensorType> made = body_->infer(for_body(inputs));
    for (std::size_t k = 0; k < states_; ++k)
      require_same_type("from the body state " + std::to_string(k), made[k], inputs[k]);
    return {inputs.begin(), inputs.begin() + std::ptrdiff_t(states_)};
  }

  void plan(PlanContext& context) const override {
    auto state = std::make_shared<WhileState>();
    const auto planned = [&](const Body& body, const std::vector<TensorType>& types,
                             const char* site) {
      std::vector<Shape> shapes;
      for (const TensorType& type : types) shapes.push_back(type.shape);
      return plan_body(context, {body, body.outputs, std::move(shapes), context.node.name + site});
    };
    state->condition = planned(*condition_, for_condition(context.inputs), "/condition");
    state->body = planned(*body_, for_body(context.inputs), "/body");
    state->name = context.node.name;
    for (const Schedule* schedule : {state->condition.get(), state->body.get()})
      state->inside.insert(state->inside.end(), schedule->numbers().begin(),
                           schedule->numbers().end());
    state->uploaded.resize(std::size_t(1 + count_of(state->inside)));
    ScratchLayout scratch;
    state->condition_arena = scratch.add(state->condition->arena_bytes());
    state->body_arena = scratch.add(state->body->arena_bytes());
    state->predicate = scratch.add(size_of(DType::kBool));
    state->number = scratch.add(state->uploaded.size() * sizeof(std::int64_t));
    for (std::size_t k = 0; k < states_; ++k) {
      const TensorType& type = context.inputs[k];
      const std::size_t bytes = std::size_t(type.shape.elements()) * size_of(type.dtype);
      state->now.push_back(context.wanted[k] ? 0 : scratch.add(bytes));
      state->next.push_back(scratch.add(bytes));
    }
    context.scratch_bytes = scratch.bytes();
    context.state = std::move(state);
  }

  void bind(const RunContext& c) const override {
    const WhileState& state = state_of(c);
    auto* const scratch = static_cast<std::byte*>(c.scratch.data);
    auto* numbers = reinterpret_cast<std::int64_t*>(scratch + state.number);
    const View step{numbers++, Shape{1}, DType::kInt64};
    std::vector<View> states, next_states;
    for (std::size_t k = 0; k < states_; ++k) {
      states.push_back(now(c, k));
      next_states.push_back(next(c, k));
    }
    const auto inputs_with = [&](std::span<const View> captured) {
      std::vector<View> inputs = states;
      inputs.insert(inputs.end(), captured.begin(), captured.end());
      return inputs;
    };
    const std::size_t first = condition_->inputs.size();  // captured by the body
    bind_body(*state.condition,
              {.arena = scratch + state.condition_arena,
               .inputs = inputs_with(c.inputs.subspan(states_, first - states_)),
               .results = {{scratch + state.predicate, {}, DType::kBool}},
               .step = step},
              numbers);
    bind_body(*state.body,
              {.arena = scratch + state.body_arena,
               .inputs = inputs_with(c.inputs.subspan(first)),
               .results = next_states,
               .step = step},
              numbers);
  }

  void prepare(const RunContext& c) const override {
    state_of(c).condition->prepare();
    state_of(c).body->prepare();
  }

  void run(const RunContext& c) const override {
    const WhileState& state = state_of(c);
    for (std::size_t k = 0; k < states_; ++k)
      c.backend.copy(now(c, k).data, c.inputs[k].data, c.inputs[k].bytes());
    std::int64_t step = 0;
    c.backend.download(&step, c.step.data, sizeof(step));
    for (std::int64_t iteration = 0; holds(c, step, iteration); ++iteration) {
      if (iteration == max_iterations_)
        throw std::runtime_error(
            quoted("while_loop", state.name) + ": the condition still holds after " +
            std::to_string(max_iterations_) + " iterations, expected an end by then");
      state.body->run();
      for (std::size_t k = 0; k < states_; ++k)
        c.backend.copy(now(c, k).data, next(c, k).data, c.inputs[k].bytes());
    }
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor>) const override {
    throw std::invalid_argument(quoted("while_loop", node.name) +
                                ": has no gradient; a loop over a known number of steps has one "
                                "as scan()");
  }

 private:
  static WhileState& state_of(const RunContext& c) { return static_cast<WhileState&>(*c.state); }

  std::vector<TensorType> for_condition(std::span<const TensorType> inputs) const {
    return {inputs.begin(), inputs.begin() + std::ptrdiff_t(condition_->inputs.size())};
  }
  std::vector<TensorType> for_body(std::span<const TensorType> inputs) const {
    std::vector<TensorType> types(inputs.begin(), inputs.begin() + std::ptrdiff_t(states_));
    const auto captured = inputs.subspan(condition_->inputs.size());
    types.insert(types.end(), captured.begin(), captured.end());
    return types;
  }

  View now(const RunContext& c, std::size_t k) const {
    return c.outputs[k] ? c.outputs[k] : in_scratch(c, state_of(c).now[k], k);
  }
  View next(const RunContext& c, std::size_t k) const {
    return in_scratch(c, state_of(c).next[k], k);
  }
  static View in_scratch(const RunContext& c, std::size_t offset, std::size_t k) {
    return piece_of(c.scratch, offset, {c.inputs[k].shape, c.inputs[k].dtype});
  }

  /// Asks the condition, with this iteration's step numbers in place for it and the body.
  bool holds(const RunContext& c, std::int64_t step, std::int64_t iteration) const {
    WhileState& state = state_of(c);
    const std::span<std::int64_t> all(state.uploaded);
    all.front() = std::int64_t(math::philox_step(std::uint64_t(step), std::uint64_t(iteration)));
    std::span<std::int64_t> inside = all.subspan(1);
    for (const StepNumbers& numbers : state.inside) numbers.fill(all.front(), inside);
    auto* const scratch = static_cast<std::byte*>(c.scratch.data);
    c.backend.upload(scratch + state.number, all.data(), all.size_bytes());
    state.condition->run();
    unsigned char predicate = 0;
    c.backend.download(&predicate, scratch + state.predicate, sizeof(predicate));
    return predicate != 0;
  }

  std::size_t states_;
  std::shared_ptr<const Body> condition_, body_;
  std::int64_t max_iterations_;
};

}  // namespace

std::vector<Tensor> while_loop(const LoopCondition& condition, const LoopBody& body,
                               const std::vector<Tensor>& initial, const WhileOptions& options) {
  const std::string what = quoted("while_loop", options.name);
  require_tensors(what, initial);
  if (initial.empty()) throw std::invalid_argument(what + ": got no state, expected one or more");
  if (options.max_iterations < 1)
    throw std::invalid_argument(what + ": got max_iterations " +
                                std::to_string(options.max_iterations) + ", expected 1 or more");
  Graph& graph = initial.front().graph();
  std::vector<Tensor> inputs = initial;
  const auto described = [&](const LoopBody& describe) {
    BodyBuilder builder(graph, what);
    std::vector<Tensor> states;
    for (const Tensor& tensor : initial)
      states.push_back(builder.add_input("state", {tensor.shape(), tensor.dtype()}));
    auto built = builder.finish(describe(states));
    inputs.insert(inputs.end(), builder.captured().begin(), builder.captured().end());
    return built;
  };
  auto asked = described([&](const auto& states) { return std::vector{condition(states)}; });
  auto repeated = described(body);
  if (repeated->outputs.size() != initial.size())
    throw std::invalid_argument(what + ": got " + std::to_string(repeated->outputs.size()) +
                                " states from the body, expected " +
                                std::to_string(initial.size()) + " as at the beginning");
  const Node& node =
      graph.add(options.name,
                std::make_shared<WhileOperation>(initial.size(), std::move(asked),
                                                 std::move(repeated), options.max_iterations),
                std::move(inputs));
  std::vector<Tensor> result;
  for (std::size_t k = 0; k < initial.size(); ++k) result.emplace_back(&node, int(k));
  return result;
}

}  // namespace unroll
