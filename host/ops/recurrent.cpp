/// A recurrent stack as one node. The shape rule and the gradient are here; the schedule over time
/// is the backend's, which plans forward and backward as one.
#include "unroll/recurrent.h"

#include <algorithm>

#include "host/graph/body.h"
#include "host/graph/operation.h"
#include "unroll/math/philox.h"

namespace unroll {
namespace {

/// Where the node's tensors are among its inputs and outputs:
///   inputs   x, h0 per layer, c0 per layer (LSTM), the cells' parameters, lengths (optional)
///   outputs  y, h_n per layer, c_n per layer (LSTM), reserve
struct Layout {
  std::size_t layers, states, cells;
  std::vector<CellParameter> parameters;  // of each cell; the shapes are those of the first
  bool has_lengths;

  Layout(const RecurrentSpec& spec, bool lengths)
      : layers(spec.hidden.size()),
        states(spec.has_c() ? 2 * layers : layers),
        cells(std::size_t(spec.cells())),
        parameters(cell_parameters(spec, 0, 1)),
        has_lengths(lengths) {}

  std::size_t h0() const { return 1; }
  std::size_t c0() const { return 1 + layers; }
  std::size_t weights() const { return 1 + states; }
  std::size_t lengths() const { return weights() + parameters.size() * cells; }
  std::size_t inputs() const { return lengths() + (has_lengths ? 1 : 0); }
  std::size_t c_states() const { return states - layers; }
  Shape state_shape(const RecurrentSpec& spec, std::size_t state, std::int64_t batch) const {
    const int layer = int(state % layers);
    return state < layers ? spec.h_shape(layer, batch) : spec.c_shape(layer, batch);
  }
  int reserve() const { return int(1 + states); }
};

template <typename Views>
void fill_weights(const Layout& layout, const Views& views,
                  std::vector<RecurrentWeights>& weights) {
  std::size_t next = layout.weights();
  for (RecurrentWeights& cell : weights)
    for (const CellParameter& parameter : layout.parameters) parameter.of(cell) = views[next++];
}

struct RecurrentState final : OperationState {
  std::unique_ptr<RecurrentPlan> plan;
  std::vector<RecurrentWeights> weights;
};

class RecurrentOperation final : public Operation {
 public:
  RecurrentOperation(const RecurrentSpec& spec, bool has_lengths)
      : spec_(spec), layout_(spec, has_lengths) {}

  std::string kind() const override { return "recurrent"; }

  void attributes(const AttributeVisitor& visit) const override {
    const bool lstm = spec_.cell == CellKind::kLstm;
    visit("cell", to_string(spec_.cell));
    visit("hidden", spec_.hidden);
    visit("directions", spec_.directions);
    visit("dropout", spec_.dropout);
    if (spec_.cell == CellKind::kGru)
      visit("reset", spec_.reset == GruReset::kBefore ? "before" : "after");
    if (lstm) {
      visit("input_gate", to_string(spec_.input_gate));
      visit("layer_norm", spec_.layer_norm);
      visit("projection", spec_.projection);
    }
    visit("lengths", layout_.has_lengths);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_rank(inputs[0], 3, "x");
    require_dtype(inputs[0], DType::kFloat32, "x");
    const std::int64_t steps = inputs[0].shape[0], input = inputs[0].shape[2];
    std::int64_t batch = inputs[0].shape[1];
    const auto require = [](const TensorType& type, const Shape& expected,
                            const std::string& what) {
      if (!shapes_agree(type.shape, expected))
        shape_error(what + " " + to_string(type.shape), to_string(expected));
      require_dtype(type, DType::kFloat32, what.c_str());
    };
    std::vector<TensorType> outputs = {{Shape{steps, batch, spec_.output()}, DType::kFloat32}};
    for (std::size_t k = 0; k < layout_.states; ++k) {
      const Shape state = layout_.state_shape(spec_, k, batch);
      require(inputs[1 + k], state, "an initial state");
      outputs.push_back({state, DType::kFloat32});
    }
    std::size_t next = layout_.weights();
    for (int cell = 0; cell < spec_.cells(); ++cell)
      for (const CellParameter& p : cell_parameters(spec_, cell / spec_.directions, input))
        require(inputs[next++], p.shape, p.name + (" of cell " + std::to_string(cell)));
    if (layout_.has_lengths) {
      require_dtype(inputs[layout_.lengths()], DType::kInt32, "lengths");
      require_rank(inputs[layout_.lengths()], 1, "lengths");
      agreed_dim(inputs[layout_.lengths()].shape[0], batch, "lengths and minibatch");
    }
    outputs.push_back({Shape{0}, DType::kByte});  // the reserve: its size is the plan's to say
    return outputs;
  }

  void plan(PlanContext& context) const override {
    const Shape& x = context.inputs[0].shape;
    auto state = std::make_shared<RecurrentState>();
    state->weights.resize(layout_.cells);
    state->plan = context.backend.recurrent_plan(
        {spec_, x[0], x[1], x[2], layout_.has_lengths,
         context.wanted[std::size_t(layout_.reserve())] != 0,
         math::philox_key(context.seed, (context.node.name + "/dropout").c_str())});
    context.outputs[std::size_t(layout_.reserve())].shape =
        Shape{std::int64_t(state->plan->reserve_bytes())};
    context.scratch_bytes = state->plan->scratch_bytes();
    context.state = std::move(state);
  }

  void prepare(const RunContext& c) const override {
    auto& state = static_cast<RecurrentState&>(*c.state);
    fill_weights(layout_, c.inputs, state.weights);
    if (all_variables(state)) state.plan->prepare(state.weights);
  }

  void run(const RunContext& c) const override {
    auto& state = static_cast<RecurrentState&>(*c.state);
    fill_weights(layout_, c.inputs, state.weights);
    if (!all_variables(state)) state.plan->prepare(state.weights);
    state.plan->forward({c.inputs[0], layout_.has_lengths ? c.inputs[layout_.lengths()] : View(),
                         c.inputs.subspan(layout_.h0(), layout_.layers),
                         c.inputs.subspan(layout_.c0(), layout_.c_states()), state.weights, c.step,
                         c.outputs[0], c.outputs.subspan(layout_.h0(), layout_.layers),
                         c.outputs.subspan(layout_.c0(), layout_.c_states()),
                         c.outputs[std::size_t(layout_.reserve())], c.scratch});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override;

 private:
  bool all_variables(const RecurrentState& state) const {
    return std::ranges::all_of(state.weights, [&](const RecurrentWeights& cell) {
      return std::ranges::all_of(layout_.parameters, [&](const CellParameter& parameter) {
        return parameter.of(cell).version != nullptr;
      });
    });
  }

  RecurrentSpec spec_;
  Layout layout_;
};

struct RecurrentGradientState final : OperationState {
  RecurrentState* forward = nullptr;
  std::vector<RecurrentWeights> weights, dweights;
  std::vector<View> dh_n, dc_n;
};

/// Inputs: those of the forward node, its reserve, then the gradients of those of its outputs that
/// have one. Outputs: the gradients of the forward node's inputs but for lengths.
class RecurrentGradientOperation final : public Operation {
 public:
  /// `given`: per output of the forward node but for the reserve, whether its gradient is an input.
  RecurrentGradientOperation(const Node& forward, const Layout& layout, std::vector<char> given)
      : forward_(&forward), layout_(layout), given_(std::move(given)) {}

  std::string kind() const override { return "recurrent_gradient"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("forward", forward_->name);
    visit("given", std::vector<std::int64_t>(given_.begin(), given_.end()));
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs.begin(), inputs.begin() + std::ptrdiff_t(layout_.lengths())};
  }

  void plan(PlanContext& context) const override {
    auto state = std::make_shared<RecurrentGradientState>();
    state->forward = static_cast<RecurrentState*>(context.state_of(*forward_));
    state->weights.resize(layout_.cells);
    state->dweights.resize(layout_.cells);
    state->dh_n.resize(layout_.layers);
    state->dc_n.resize(layout_.c_states());
    context.scratch_bytes = state->forward->plan->scratch_bytes();
    context.state = std::move(state);
  }

  void run(const RunContext& c) const override {
    auto& state = static_cast<RecurrentGradientState&>(*c.state);
    fill_weights(layout_, c.inputs, state.weights);
    fill_weights(layout_, c.outputs, state.dweights);
    std::size_t next = layout_.inputs() + 1;
    const auto given = [&](std::size_t output) {
      return given_[output] != 0 ? c.inputs[next++] : View();
    };
    const View dy = given(0);
    for (std::size_t k = 0; k < layout_.layers; ++k) state.dh_n[k] = given(layout_.h0() + k);
    for (std::size_t k = 0; k < layout_.c_states(); ++k) state.dc_n[k] = given(layout_.c0() + k);
    state.forward->plan->backward(
        {c.inputs[0], layout_.has_lengths ? c.inputs[layout_.lengths()] : View(),
         c.inputs.subspan(layout_.h0(), layout_.layers),
         c.inputs.subspan(layout_.c0(), layout_.c_states()), state.weights, c.step,
         c.inputs[layout_.inputs()], dy, state.dh_n, state.dc_n, c.outputs[0],
         c.outputs.subspan(layout_.h0(), layout_.layers),
         c.outputs.subspan(layout_.c0(), layout_.c_states()), state.dweights, c.scratch});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    throw std::invalid_argument("recurrent_gradient: has no gradient of its own");
  }

 private:
  const Node* forward_;
  Layout layout_;
  std::vector<char> given_;
};

std::vector<Gradient> RecurrentOperation::gradient(const Node& node,
                                                   std::span<const Tensor> dy) const {
  // It reads what the node has kept, which only a run of the same graph has.
  if (&BodyBuilder::innermost(*node.graph) != node.graph)
    throw std::invalid_argument("recurrent '" + node.name +
                                "': got a gradient in the body of a loop or branch, expected one "
                                "where the node is");
  std::vector<Tensor> inputs = node.inputs;
  inputs.push_back({&node, layout_.reserve()});
  std::vector<char> given;
  for (int k = 0; k < layout_.reserve(); ++k) {
    given.push_back(dy[std::size_t(k)] ? 1 : 0);
    if (given.back() != 0) inputs.push_back(dy[std::size_t(k)]);
  }
  const Node& gradient =
      node.graph->add("recurrent_gradient",
                      std::make_shared<RecurrentGradientOperation>(node, layout_, std::move(given)),
                      std::move(inputs));
  std::vector<Gradient> result(node.inputs.size());
  for (std::size_t k = 0; k < layout_.lengths(); ++k) result[k] = Tensor(&gradient, int(k));
  return result;
}

/// Zeros [D, N, elements], with N from x [T, N, I].
class ZeroStateOperation final : public Operation {
 public:
  ZeroStateOperation(std::int64_t directions, std::int64_t elements)
      : directions_(directions), elements_(elements) {}
  std::string kind() const override { return "zero_state"; }
  void attributes(const AttributeVisitor& visit) const override {
    visit("directions", directions_);
    visit("elements", elements_);
  }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_rank(inputs[0], 3, "x");
    return {{Shape{directions_, inputs[0].shape[1], elements_}, DType::kFloat32}};
  }
  void run(const RunContext& c) const override {
    c.backend.clear(c.outputs[0].data, c.outputs[0].bytes());
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }

 private:
  std::int64_t directions_, elements_;
};

/// How a parameter begins.
Initializer initializer_of(const CellParameter& parameter, const RecurrentSpec& spec,
                           const RecurrentWeightsOptions& options) {
  using Place = CellParameter::Place;
  switch (parameter.place) {
    case Place::kWeightIh:
      return options.weight_ih.value_or(xavier(spec.gates()));
    case Place::kWeightHh:
      return options.weight_hh.value_or(orthogonal(spec.gates()));
    case Place::kWeightHr:
      return options.weight_hr.value_or(xavier());
    case Place::kGainIh:
    case Place::kGainHh:
    case Place::kGainC:
      return constant(1);
    default:
      return options.bias;
  }
}

}  // namespace

std::vector<CellWeights> recurrent_weights(Graph& graph, const RecurrentSpec& spec,
                                           std::int64_t input,
                                           const RecurrentWeightsOptions& options) {
  validate(spec);
  std::vector<CellWeights> weights;
  for (int layer = 0; layer < spec.layers(); ++layer)
    for (int direction = 0; direction < spec.directions; ++direction) {
      CellWeights& cell = weights.emplace_back();
      for (const CellParameter& parameter : cell_parameters(spec, layer, input))
        parameter.of(cell) =
            graph.variable(std::string(options.prefix) + parameter.name + "_l" +
                               std::to_string(layer) + (direction == 1 ? "_reverse" : ""),
                           parameter.shape, initializer_of(parameter, spec, options));
    }
  return weights;
}

RecurrentResult recurrent(const RecurrentSpec& spec, const RecurrentInputs& in,
                          std::string_view name) {
  validate(spec);
  const Layout layout(spec, bool(in.lengths));
  const auto require_count = [](const char* what, std::size_t got, std::size_t expected) {
    if (got != expected)
      throw std::invalid_argument("recurrent: got " + std::to_string(got) + " " + what +
                                  ", expected " + std::to_string(expected));
  };
  if (!in.x) throw std::invalid_argument("recurrent: x is an empty tensor");
  require_count("weights", in.weights.size(), layout.cells);
  if (!in.h0.empty()) require_count("initial states h0", in.h0.size(), layout.layers);
  if (!in.c0.empty()) require_count("initial states c0", in.c0.size(), layout.c_states());

  std::vector<Tensor> inputs = {in.x};
  for (std::size_t k = 0; k < layout.states; ++k) {
    const auto& given = k < layout.layers ? in.h0 : in.c0;
    inputs.push_back(!given.empty()
                         ? given[k % layout.layers]
                         : add_node(std::make_shared<ZeroStateOperation>(
                                        spec.directions, layout.state_shape(spec, k, 1)[2]),
                                    {in.x}));
  }
  for (const CellWeights& cell : in.weights)
    for (const CellParameter& parameter : layout.parameters) inputs.push_back(parameter.of(cell));
  if (in.lengths) inputs.push_back(in.lengths);

  const Node& node = in.x.graph().add(
      name, std::make_shared<RecurrentOperation>(spec, bool(in.lengths)), std::move(inputs));
  RecurrentResult result{{&node, 0}, {}, {}};
  for (std::size_t k = 0; k < layout.states; ++k)
    (k < layout.layers ? result.h_n : result.c_n).push_back({&node, int(1 + k)});
  return result;
}

}  // namespace unroll
