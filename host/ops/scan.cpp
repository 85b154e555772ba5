/// A loop over sequences as one node. run() queues the body once per step, with views that move
/// from row to row, so a capture holds the whole loop.
///
/// The gradient is another scan, in the other direction: its body is a copy of this one, which
/// computes a step again from the state before it, and the nodes of its gradient. What this scan
/// captures has the sum of all steps' gradients, which is a state there.
#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "host/ops/control_flow.h"
#include "host/ops/elementwise.h"
#include "host/ops/gradients.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// Body: inputs are the states, an element of each sequence, and what is captured; outputs are the
/// next states and this step's outputs.
/// Node: inputs are the initial states, the sequences, and what is captured; outputs are the last
/// states, the outputs of all steps, and the states before each step, which only a gradient reads.
struct ScanSpec {
  std::shared_ptr<const Body> body;
  std::size_t states = 0, sequences = 0;
  bool reverse = false;  // from the last element to the first
  std::string site;      // keys random numbers; empty: the node's name

  std::size_t outputs() const { return body->outputs.size() - states; }
  std::size_t first_captured() const { return states + sequences; }
  std::size_t first_saved() const { return body->outputs.size(); }
};

struct ScanState final : OperationState {
  std::unique_ptr<Schedule> schedule;
  std::vector<int> result;  // of the schedule, per output of the body; -1: not computed
  /// Two places between which each state alternates; one where every step's states are kept.
  std::vector<std::array<std::size_t, 2>> buffers;
};

Shape with_first(std::int64_t dim, const Shape& shape) {
  Shape result{dim};
  for (const std::int64_t other : shape.dims()) result.append(other);
  return result;
}

View row_of(const View& stacked, std::int64_t row) {
  View view{stacked.data, stacked.shape.without(0), stacked.dtype};
  view.data = static_cast<std::byte*>(stacked.data) + std::size_t(row) * view.bytes();
  return view;
}

class ScanOperation final : public Operation {
 public:
  explicit ScanOperation(ScanSpec spec) : spec_(std::move(spec)) {}

  std::string kind() const override { return "scan"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("states", std::int64_t(spec_.states));
    visit("sequences", std::int64_t(spec_.sequences));
    visit("reverse", spec_.reverse);
    if (!spec_.site.empty()) visit("site", spec_.site);
  }

  std::vector<NamedBody> bodies() const override { return {{"body", &spec_.body->graph}}; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const std::int64_t steps = steps_of(inputs);
    if (steps == 0) shape_error("sequences of 0 elements", "1 or more");
    std::vector<TensorType> read(inputs.begin(), inputs.end());
    for (std::size_t k = spec_.states; k < spec_.first_captured(); ++k)
      read[k].shape = read[k].shape.without(0);
    const std::vector<TensorType> made = spec_.body->infer(read);
    std::vector<TensorType> result(inputs.begin(), inputs.begin() + std::ptrdiff_t(spec_.states));
    for (std::size_t k = 0; k < spec_.states; ++k)
      require_same_type("from the body state " + std::to_string(k), made[k], inputs[k]);
    for (std::size_t k = spec_.states; k < made.size(); ++k)
      result.push_back({with_first(steps, made[k].shape), made[k].dtype});
    for (std::size_t k = 0; k < spec_.states; ++k)
      result.push_back({with_first(steps, inputs[k].shape), inputs[k].dtype});
    return result;
  }

  void plan(PlanContext& context) const override {
    auto state = std::make_shared<ScanState>();
    const std::vector<char> needed = needed_results(context.wanted);
    std::vector<Tensor> fetches;
    for (std::size_t k = 0; k < needed.size(); ++k) {
      state->result.push_back(needed[k] ? int(fetches.size()) : -1);
      if (needed[k]) fetches.push_back(spec_.body->outputs[k]);
    }
    std::vector<Shape> shapes;
    for (std::size_t k = 0; k < context.inputs.size(); ++k) {
      const Shape& shape = context.inputs[k].shape;
      shapes.push_back(k >= spec_.states && k < spec_.first_captured() ? shape.without(0) : shape);
    }
    state->schedule = plan_body(context, {*spec_.body, std::move(fetches), std::move(shapes),
                                          spec_.site.empty() ? context.node.name : spec_.site});
    context.numbers = {steps_of(context.inputs), state->schedule->numbers()};
    ScratchLayout scratch;
    scratch.add(state->schedule->arena_bytes());
    for (std::size_t k = 0; k < spec_.states; ++k) {
      const TensorType& type = context.inputs[k];
      const std::size_t bytes = std::size_t(type.shape.elements()) * size_of(type.dtype);
      auto& [even, odd] = state->buffers.emplace_back();
      if (!needed[k]) continue;
      even = odd = scratch.add(bytes);
      if (!context.wanted[spec_.first_saved() + k]) odd = scratch.add(bytes);
    }
    context.scratch_bytes = scratch.bytes();
    context.state = std::move(state);
  }

  void bind(const RunContext& c) const override {
    Schedule& schedule = *state_of(c).schedule;
    schedule.bind(static_cast<std::byte*>(c.scratch.data));
    place_captured(c);
    place_step(c, 0);
    schedule.bind_operations();
  }

  void prepare(const RunContext& c) const override {
    place_captured(c);
    state_of(c).schedule->prepare();
  }

  void run(const RunContext& c) const override {
    place_captured(c);
    for (std::size_t k = 0; k < spec_.states; ++k)
      if (c.outputs[spec_.first_saved() + k]) {
        const View first = state_before(c, k, 0);
        c.backend.copy(first.data, c.inputs[k].data, first.bytes());
      }
    const std::int64_t steps = c.inputs[spec_.states].shape[0];
    for (std::int64_t step = 0; step < steps; ++step) {
      place_step(c, step);
      state_of(c).schedule->queue();
    }
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override;

 private:
  static ScanState& state_of(const RunContext& c) { return static_cast<ScanState&>(*c.state); }

  std::int64_t steps_of(std::span<const TensorType> inputs) const {
    std::int64_t steps = kOpen;
    for (std::size_t k = spec_.states; k < spec_.first_captured(); ++k)
      steps = agreed_dim(steps, inputs[k].shape[0], "sequences of lengths");
    return steps;
  }

  /// Per output of the body. A state is needed if it is wanted, or if something needed reads it.
  std::vector<char> needed_results(std::span<const char> wanted) const {
    const Body& body = *spec_.body;
    std::vector<char> needed(body.outputs.size(), 0), nodes(body.graph.nodes().size(), 0);
    for (std::size_t k = 0; k < needed.size(); ++k)
      needed[k] = wanted[k] || (k < spec_.states && wanted[spec_.first_saved() + k]) ? 1 : 0;
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t k = 0; k < needed.size(); ++k)
        if (needed[k]) nodes[std::size_t(body.outputs[k].node().id)] = 1;
      for (std::size_t id = nodes.size(); id-- > 0;)
        if (nodes[id])
          for (const Tensor& input : body.graph.nodes()[id]->inputs)
            nodes[std::size_t(input.node().id)] = 1;
      for (std::size_t k = 0; k < spec_.states; ++k) {
        if (needed[k] || !nodes[std::size_t(body.inputs[k].node().id)]) continue;
        needed[k] = 1;
        changed = true;
      }
    }
    return needed;
  }

  void place_captured(const RunContext& c) const {
    for (std::size_t k = spec_.first_captured(); k < c.inputs.size(); ++k)
      state_of(c).schedule->set_input(k, c.inputs[k]);
  }

  std::int64_t row(const RunContext& c, std::int64_t step) const {
    return spec_.reverse ? c.inputs[spec_.states].shape[0] - 1 - step : step;
  }

  /// The memory of state k before this step, or, if it is T, after the last.
  View state_before(const RunContext& c, std::size_t k, std::int64_t step) const {
    const View &last = c.outputs[k], &saved = c.outputs[spec_.first_saved() + k];
    if (step == c.inputs[spec_.states].shape[0]) {
      if (last) return last;
    } else if (saved) {
      return row_of(saved, row(c, step));
    } else if (step == 0) {
      return {c.inputs[k].data, c.inputs[k].shape, c.inputs[k].dtype};
    }
    return piece_of(c.scratch, state_of(c).buffers[k][std::size_t(step % 2)],
                    {c.inputs[k].shape, c.inputs[k].dtype});
  }

  void place_step(const RunContext& c, std::int64_t step) const {
    const ScanState& state = state_of(c);
    Schedule& schedule = *state.schedule;
    const std::int64_t at = row(c, step);
    for (std::size_t k = 0; k < spec_.states; ++k) {
      if (state.result[k] < 0) continue;
      schedule.set_input(k, state_before(c, k, step));
      schedule.set_result(std::size_t(state.result[k]), state_before(c, k, step + 1));
    }
    for (std::size_t k = spec_.states; k < spec_.first_captured(); ++k)
      schedule.set_input(k, row_of(c.inputs[k], at));
    for (std::size_t k = spec_.states; k < state.result.size(); ++k)
      if (state.result[k] >= 0)
        schedule.set_result(std::size_t(state.result[k]), row_of(c.outputs[k], at));
    const std::int64_t each = c.numbers.elements() / c.inputs[spec_.states].shape[0];
    auto* const numbers = c.numbers.as<std::int64_t>() + at * each;
    schedule.set_step({numbers, Shape{1}, DType::kInt64},
                      {numbers + 1, Shape{each - 1}, DType::kInt64});
  }

  ScanSpec spec_;
};

/// Puts together the scan that computes a scan's gradient. In it, a "carried" value is a state, and
/// a "stacked" one an output of each step.
class GradientScan {
 public:
  GradientScan(const ScanSpec& spec, const Node& node) : spec_(spec), node_(node) {
    std::vector<Tensor> all = spec.body->inputs;
    all.insert(all.end(), spec.body->outputs.begin(), spec.body->outputs.end());
    all = spec.body->copy_to(body_->graph, all);
    const auto inputs = std::ptrdiff_t(spec.body->inputs.size());
    read_.assign(all.begin(), all.begin() + inputs);
    made_.assign(all.begin() + inputs, all.end());
    for (std::size_t k = 0; k < spec.states; ++k)
      walk(read_[k], {&node, int(spec.first_saved() + k)});
    for (std::size_t k = spec.states; k < spec.first_captured(); ++k)
      walk(read_[k], node.inputs[k]);
  }

  std::vector<Gradient> build(std::span<const Tensor> dy) {
    seed(dy);
    const std::vector<Gradient> dx = vector_jacobian(ys_, dys_, xs());
    std::vector<Place> places(node_.inputs.size());
    std::size_t next = 0;
    for (std::size_t k = 0; k < read_.size(); ++k)
      if (has_gradient(read_[k])) places[k] = place(k, dx[next++]);
    const Node& scan = add_node_to_graph();
    std::vector<Gradient> result;
    for (const Place& place : places) result.push_back(gradient_at(scan, place));
    return result;
  }

 private:
  enum class Kind { kNone, kCarried, kStacked, kSparse };
  struct Place {
    Kind kind = Kind::kNone;
    std::size_t index = 0;  // among the carried or the stacked; of a sparse one its rows, then ids
  };

  Tensor placeholder(const char* name, Tensor like) {
    return body_->graph.placeholder(name, like.shape(), like.dtype());
  }
  void walk(Tensor inside, Tensor sequence) {
    elements_.push_back(inside);
    sequences_.push_back(sequence);
  }
  std::size_t carry(Tensor inside, Tensor initial) {
    carried_.push_back(inside);
    initial_.push_back(initial);
    next_.emplace_back();
    return carried_.size() - 1;
  }
  /// dy of `made`, which comes in from outside.
  void add_y(Tensor made, Tensor dy) {
    ys_.push_back(made);
    dys_.push_back(dy);
  }

  void seed(std::span<const Tensor> dy) {
    for (std::size_t k = 0; k < spec_.states; ++k) {
      if (!has_gradient(read_[k])) continue;
      const Tensor d = placeholder("d_state", read_[k]);
      carry(d, dy[k] ? dy[k] : zeros_like(node_.inputs[k]));
      add_y(made_[k], d);
    }
    for (std::size_t k = spec_.states; k < dy.size(); ++k) {
      if (!dy[k]) continue;
      const Tensor& y = k < spec_.first_saved() ? made_[k] : read_[k - spec_.first_saved()];
      const Tensor d = placeholder("d_output", y);
      walk(d, dy[k]);
      add_y(y, d);
    }
  }

  std::vector<Tensor> xs() const {
    std::vector<Tensor> xs;
    for (const Tensor& tensor : read_)
      if (has_gradient(tensor)) xs.push_back(tensor);
    return xs;
  }

  /// Where the gradient dx of input k goes.
  Place place(std::size_t k, const Gradient& dx) {
    const Tensor& x = read_[k];
    if (k < spec_.states) {
      const std::size_t index = carried_before(k);
      next_[index] = dx ? to_dense(dx, x) : zeros_like(x);
      return {Kind::kCarried, index};
    }
    if (!dx) return {};
    if (k < spec_.first_captured()) {
      stacked_.push_back(to_dense(dx, x));
      return {Kind::kStacked, stacked_.size() - 1};
    }
    if (dx.is_sparse()) {
      stacked_.push_back(dx.values);
      stacked_.push_back(dx.ids);
      return {Kind::kSparse, stacked_.size() - 2};
    }
    const std::size_t index = carry(placeholder("d_sum", x), zeros_like(node_.inputs[k]));
    next_[index] = carried_[index] + dx.values;
    return {Kind::kCarried, index};
  }

  std::size_t carried_before(std::size_t state) const {
    return std::size_t(
        std::count_if(read_.begin(), read_.begin() + std::ptrdiff_t(state), has_gradient));
  }

  const Node& add_node_to_graph() {
    std::vector<Tensor> inputs = initial_;
    body_->inputs = carried_;
    const auto append = [](std::vector<Tensor>& to, std::span<const Tensor> more) {
      to.insert(to.end(), more.begin(), more.end());
    };
    append(body_->inputs, elements_);
    append(inputs, sequences_);
    append(body_->inputs, std::span(read_).subspan(spec_.first_captured()));
    append(inputs, std::span(node_.inputs).subspan(spec_.first_captured()));
    body_->outputs = next_;
    append(body_->outputs, stacked_);
    const ScanSpec gradient{.body = body_,
                            .states = carried_.size(),
                            .sequences = elements_.size(),
                            .reverse = !spec_.reverse,
                            .site = spec_.site.empty() ? node_.name : spec_.site};
    return node_.graph->add("scan_gradient", std::make_shared<ScanOperation>(gradient),
                            std::move(inputs));
  }

  Gradient gradient_at(const Node& scan, const Place& place) const {
    const auto stacked = [&](std::size_t index) {
      return Tensor(&scan, int(carried_.size() + index));
    };
    switch (place.kind) {
      case Kind::kNone:
        return {};
      case Kind::kCarried:
        return Tensor(&scan, int(place.index));
      case Kind::kStacked:
        return stacked(place.index);
      case Kind::kSparse:
        return {reshape(stacked(place.index), {kOpen, stacked(place.index).shape().last()}),
                reshape(stacked(place.index + 1), {kOpen})};
    }
    return {};
  }

  const ScanSpec& spec_;
  const Node& node_;
  std::shared_ptr<Body> body_ = std::make_shared<Body>();
  std::vector<Tensor> read_, made_;               // the copied body's inputs and outputs
  std::vector<Tensor> ys_, dys_;                  // in the body
  std::vector<Tensor> carried_, next_, stacked_;  // in the body
  std::vector<Tensor> initial_;                   // outside, of the carried
  std::vector<Tensor> elements_, sequences_;      // in the body, and outside
};

std::vector<Gradient> ScanOperation::gradient(const Node& node, std::span<const Tensor> dy) const {
  return GradientScan(spec_, node).build(dy);
}

}  // namespace

ScanResult scan(const ScanBody& body, const std::vector<Tensor>& initial,
                const std::vector<Tensor>& sequences, std::string_view name) {
  const std::string what = quoted("scan", name);
  require_tensors(what, initial);
  require_tensors(what, sequences);
  if (sequences.empty())
    throw std::invalid_argument(what + ": got no sequence, expected one or more");
  BodyBuilder builder(sequences.front().graph(), what);
  std::vector<Tensor> states, elements;
  for (const Tensor& tensor : initial)
    states.push_back(builder.add_input("state", {tensor.shape(), tensor.dtype()}));
  for (const Tensor& sequence : sequences) {
    if (sequence.shape().rank() == 0)
      throw std::invalid_argument(what + ": sequence '" + sequence.name() +
                                  "': got a scalar, expected [T, ...]");
    elements.push_back(
        builder.add_input("element", {sequence.shape().without(0), sequence.dtype()}));
  }
  ScanStep step = body(states, elements);
  if (step.states.size() != initial.size())
    throw std::invalid_argument(what + ": got " + std::to_string(step.states.size()) +
                                " states from the body, expected " +
                                std::to_string(initial.size()) + " as at the beginning");
  step.states.insert(step.states.end(), step.outputs.begin(), step.outputs.end());
  if (step.states.empty())
    throw std::invalid_argument(what + ": got neither states nor outputs, expected some");
  ScanSpec spec{
      .body = builder.finish(step.states), .states = initial.size(), .sequences = sequences.size()};
  if (const Node* decider = spec.body->decider())
    throw std::invalid_argument(what + ": got " +
                                quoted(decider->operation->kind().c_str(), decider->name) +
                                " in its body, expected nothing that the host decides");
  std::vector<Tensor> inputs = initial;
  inputs.insert(inputs.end(), sequences.begin(), sequences.end());
  inputs.insert(inputs.end(), builder.captured().begin(), builder.captured().end());
  const std::size_t results = spec.body->outputs.size();
  const Node& node = sequences.front().graph().add(
      name, std::make_shared<ScanOperation>(std::move(spec)), std::move(inputs));
  ScanResult result;
  for (std::size_t k = 0; k < results; ++k)
    (k < initial.size() ? result.states : result.outputs).emplace_back(&node, int(k));
  return result;
}

}  // namespace unroll
