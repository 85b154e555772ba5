/// A branch. The host reads the predicate in the middle of a run and replays the chosen body.
#include <array>
#include <stdexcept>
#include <utility>

#include "host/ops/control_flow.h"
#include "host/ops/elementwise.h"
#include "host/ops/gradients.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

constexpr std::array kBranchNames{"then", "otherwise"};
using Bodies = std::array<std::shared_ptr<const Body>, 2>;

struct CondState final : OperationState {
  std::array<std::unique_ptr<Schedule>, 2> schedules;
  std::vector<std::size_t> results;  // the node's outputs that are computed
};

/// Inputs: the predicate, then those of the first body, then those of the second.
class CondOperation final : public Operation {
 public:
  /// `site` keys random numbers; empty: the node's name does.
  CondOperation(Bodies bodies, std::string site)
      : bodies_(std::move(bodies)), site_(std::move(site)) {}

  std::string kind() const override { return "cond"; }

  void attributes(const AttributeVisitor& visit) const override {
    if (!site_.empty()) visit("site", site_);
  }

  std::vector<NamedBody> bodies() const override {
    return {{kBranchNames[0], &bodies_[0]->graph}, {kBranchNames[1], &bodies_[1]->graph}};
  }

  bool host_decides() const override { return true; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_predicate(inputs[0], "the predicate");
    std::vector<TensorType> then = bodies_[0]->infer(of_branch(inputs, 0));
    const std::vector<TensorType> otherwise = bodies_[1]->infer(of_branch(inputs, 1));
    for (std::size_t k = 0; k < then.size(); ++k) {
      require_same_type("from the second branch result " + std::to_string(k), otherwise[k],
                        then[k]);
      for (int axis = 0; axis < then[k].shape.rank(); ++axis)
        if (then[k].shape[axis] == kOpen) then[k].shape[axis] = otherwise[k].shape[axis];
    }
    return then;
  }

  void plan(PlanContext& context) const override {
    auto state = std::make_shared<CondState>();
    for (std::size_t k = 0; k < context.wanted.size(); ++k)
      if (context.wanted[k]) state->results.push_back(k);
    context.numbers.iterations = 1;
    for (std::size_t branch = 0; branch < 2; ++branch) {
      std::vector<Tensor> fetches;
      for (const std::size_t k : state->results) fetches.push_back(bodies_[branch]->outputs[k]);
      std::vector<Shape> shapes;
      for (const TensorType& type : of_branch(context.inputs, branch)) shapes.push_back(type.shape);
      const std::string& site = site_.empty() ? context.node.name : site_;
      state->schedules[branch] =
          plan_body(context, {*bodies_[branch], std::move(fetches), std::move(shapes),
                              site + "/" + kBranchNames[branch]});
      const Schedule& schedule = *state->schedules[branch];
      context.scratch_bytes = std::max(context.scratch_bytes, schedule.arena_bytes());
      for (const StepNumbers& numbers : schedule.numbers())
        context.numbers.inside.push_back(numbers);
    }
    context.state = std::move(state);
  }

  void bind(const RunContext& c) const override {
    const CondState& state = state_of(c);
    auto* numbers = c.numbers.as<std::int64_t>();
    const View step{numbers++, Shape{1}, DType::kInt64};
    for (std::size_t branch = 0; branch < 2; ++branch) {
      const auto inputs = of_branch(c.inputs, branch);
      BodyPlaces places{.arena = static_cast<std::byte*>(c.scratch.data),
                        .inputs = {inputs.begin(), inputs.end()},
                        .results = {},
                        .step = step};
      for (const std::size_t k : state.results) places.results.push_back(c.outputs[k]);
      bind_body(*state.schedules[branch], places, numbers);
    }
  }

  void prepare(const RunContext& c) const override {
    for (const auto& schedule : state_of(c).schedules) schedule->prepare();
  }

  void run(const RunContext& c) const override {
    unsigned char predicate = 0;
    c.backend.download(&predicate, c.inputs[0].data, sizeof(predicate));
    state_of(c).schedules[predicate != 0 ? 0 : 1]->run();
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override;

 private:
  static CondState& state_of(const RunContext& c) { return static_cast<CondState&>(*c.state); }

  template <typename T>
  std::span<const T> of_branch(std::span<const T> inputs, std::size_t branch) const {
    const std::size_t first = bodies_[0]->inputs.size();
    return branch == 0 ? inputs.subspan(1, first) : inputs.subspan(1 + first);
  }

  Bodies bodies_;
  std::string site_;
};

/// One branch of the gradient: a copy of the branch, which is computed again, and the nodes of its
/// gradient.
struct BranchGradient {
  std::shared_ptr<Body> body = std::make_shared<Body>();
  std::vector<Tensor> read;       // the copied inputs
  std::vector<Gradient> results;  // per input; empty: none

  BranchGradient(const Body& branch, std::span<const Tensor> dy) {
    std::vector<Tensor> all = branch.inputs;
    all.insert(all.end(), branch.outputs.begin(), branch.outputs.end());
    all = branch.copy_to(body->graph, all);
    read.assign(all.begin(), all.begin() + std::ptrdiff_t(branch.inputs.size()));
    std::vector<Tensor> ys, dys, xs;
    for (std::size_t k = 0; k < dy.size(); ++k) {
      if (!dy[k]) continue;
      const Tensor& y = all[branch.inputs.size() + k];
      ys.push_back(y);
      dys.push_back(body->graph.placeholder("d_result", y.shape(), y.dtype()));
      seeds.push_back(dys.back());
    }
    for (const Tensor& x : read)
      if (has_gradient(x)) xs.push_back(x);
    const std::vector<Gradient> dx = vector_jacobian(ys, dys, xs);
    std::size_t next = 0;
    for (const Tensor& x : read) results.push_back(has_gradient(x) ? dx[next++] : Gradient());
  }

  std::vector<Tensor> seeds;  // the gradients of the branch's results
};

/// The gradient has the same predicate, and both its branches have the same inputs: those of both
/// branches, and dy. A branch's gradients of what only the other one reads are zero.
std::vector<Gradient> CondOperation::gradient(const Node& node, std::span<const Tensor> dy) const {
  std::array<BranchGradient, 2> own{BranchGradient(*bodies_[0], dy),
                                    BranchGradient(*bodies_[1], dy)};
  std::vector<Tensor> inputs{node.inputs[0]};
  Bodies bodies;
  std::vector<int> output_of(node.inputs.size(), -1);
  for (std::size_t branch = 0; branch < 2; ++branch) {
    Body& body = *own[branch].body;
    int outputs = 0;
    std::size_t at = 0;  // among the node's inputs
    for (std::size_t other = 0; other < 2; ++other)
      for (std::size_t k = 0; k < own[other].read.size(); ++k) {
        const Tensor& input = node.inputs[++at];
        inputs.push_back(input);
        body.inputs.push_back(other == branch
                                  ? own[branch].read[k]
                                  : body.graph.placeholder("like", input.shape(), input.dtype()));
        const Gradient& dx = own[other].results[k];
        if (!dx) continue;
        const Tensor& x = body.inputs.back();
        body.outputs.push_back(other == branch ? to_dense(dx, x) : zeros_like(x));
        output_of[at] = outputs++;
      }
    body.inputs.insert(body.inputs.end(), own[branch].seeds.begin(), own[branch].seeds.end());
    for (const Tensor& d : dy)
      if (d) inputs.push_back(d);
    bodies[branch] = own[branch].body;
  }
  std::vector<Gradient> result(node.inputs.size());
  if (bodies[0]->outputs.empty()) return result;
  const Node& gradient = node.graph->add(
      "cond_gradient",
      std::make_shared<CondOperation>(std::move(bodies), site_.empty() ? node.name : site_),
      std::move(inputs));
  for (std::size_t k = 0; k < result.size(); ++k)
    if (output_of[k] >= 0) result[k] = Tensor(&gradient, output_of[k]);
  return result;
}

}  // namespace

std::vector<Tensor> cond(Tensor predicate, const Branch& then, const Branch& otherwise,
                         std::string_view name) {
  const std::string what = quoted("cond", name);
  require_tensors(what, {predicate});
  Graph& graph = predicate.graph();
  std::vector<Tensor> inputs{predicate};
  Bodies bodies;
  for (std::size_t branch = 0; branch < 2; ++branch) {
    BodyBuilder builder(graph, what);
    bodies[branch] = builder.finish((branch == 0 ? then : otherwise)());
    inputs.insert(inputs.end(), builder.captured().begin(), builder.captured().end());
  }
  const std::size_t results = bodies[0]->outputs.size();
  if (results == 0 || results != bodies[1]->outputs.size())
    throw std::invalid_argument(what + ": got " + std::to_string(results) + " and " +
                                std::to_string(bodies[1]->outputs.size()) +
                                " results from the branches, expected as many, 1 or more");
  const Node& node =
      graph.add(name, std::make_shared<CondOperation>(std::move(bodies), ""), std::move(inputs));
  std::vector<Tensor> result;
  for (std::size_t k = 0; k < results; ++k) result.emplace_back(&node, int(k));
  return result;
}

}  // namespace unroll
