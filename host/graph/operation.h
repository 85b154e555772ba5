/// What an operation is to the engine: its shape rule, how it runs, and its gradient as new nodes.
/// Operations are immutable and shared; what depends on a plan's shapes lives in the plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "unroll/backend.h"
#include "unroll/gradients.h"
#include "unroll/graph.h"

namespace unroll {

/// Anything an operation decides once per plan and needs again in every run.
struct OperationState {
  virtual ~OperationState() = default;
};

/// Numbers of the run that differ from iteration to iteration, for a node with a loop in it. They
/// lie in device memory: for each iteration its own number, then the numbers for the nodes inside.
struct StepNumbers {
  std::int64_t iterations = 0;
  std::vector<StepNumbers> inside = {};

  std::int64_t count() const;          // of all numbers
  std::int64_t per_iteration() const;  // its own included
  /// Writes them to the front of `out` and moves it behind them. `step`: the number outside.
  void fill(std::int64_t step, std::span<std::int64_t>& out) const;
};

/// Numbers of several nodes together.
std::int64_t count_of(std::span<const StepNumbers> all);

struct PlanContext {
  Backend& backend;
  std::uint64_t seed;
  const Node& node;
  std::span<const TensorType> inputs;  // closed shapes
  std::span<TensorType> outputs;       // as infer() gave them; plan() may fix what only it knows
  std::span<const char> wanted;        // per output: it is fetched or read
  std::function<OperationState*(const Node&)> state_of;  // of a node planned earlier

  std::size_t scratch_bytes = 0;          // out
  std::shared_ptr<OperationState> state;  // out
  StepNumbers numbers;                    // out
};

struct RunContext {
  Backend& backend;
  std::span<const View> inputs;
  std::span<const View> outputs;  // empty views for outputs that are not read
  View scratch;
  View step;  // [1] int64: the run's number, in a loop's body the iteration's
  OperationState* state;
  View numbers;  // [count] int64: what plan() asked for
};

/// What an operation is beside its inputs: a flag, an integer, a real number, a text, a list of
/// either kind of number, or a shape.
using Attribute = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                               std::vector<double>, Shape>;
using AttributeVisitor = std::function<void(std::string_view name, const Attribute& value)>;

struct NamedBody {
  std::string_view name;
  const Graph* graph;
};

class Operation {
 public:
  virtual ~Operation() = default;

  /// As it appears in messages.
  virtual std::string kind() const = 0;

  /// Calls `visit` for each attribute, always in the same order. Two nodes of one kind with equal
  /// attributes, types and bodies compute the same of their inputs, but for random numbers, which
  /// the node's name keys unless an attribute does. What has no meaning for this operation (a
  /// setting of another optimiser, the axis of a reduction over all axes) is left out.
  virtual void attributes(const AttributeVisitor&) const {}

  /// The graphs of a loop or branch.
  virtual std::vector<NamedBody> bodies() const { return {}; }

  /// The shape rule: called with open dimensions when a node is added and with closed ones when a
  /// run is planned. Throws std::invalid_argument without the kind in front: the caller adds it.
  virtual std::vector<TensorType> infer(std::span<const TensorType> inputs) const = 0;

  virtual void plan(PlanContext&) const {}

  /// Called when the memory of a plan has its place, before anything below, and again if it moves.
  virtual void bind(const RunContext&) const {}

  /// Called outside any capture before a run in which the version of a variable among the inputs is
  /// new to this plan.
  virtual void prepare(const RunContext&) const {}

  /// Queues kernels. Only if host_decides() it may read results, and is then outside any capture.
  virtual void run(const RunContext& context) const = 0;
  virtual bool host_decides() const { return false; }

  /// Gradients of the inputs from those of the outputs (empty where an output has none).
  virtual std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const = 0;

  /// The input whose memory output 0 is, or -1.
  virtual int alias(std::span<const TensorType> /*inputs*/) const { return -1; }
  /// Whether alias() differs between shapes.
  virtual bool alias_decided_by_shapes() const { return false; }
  /// The input that output `index` may overwrite if it is not read later, or -1.
  virtual int in_place(int /*index*/) const { return -1; }
  /// The inputs from this one on are laid out side by side in one buffer; -1: none are.
  virtual int first_packed_input() const { return -1; }
  /// The inputs, all variables, that run() writes.
  virtual std::vector<int> written_inputs() const { return {}; }
  /// Called after each run that wrote them: renew() gives these inputs their new versions.
  virtual void renew_written(const RunContext&, const std::function<void()>& renew) const {
    renew();
  }
};

// Nodes without a kernel: the session sets up what they stand for.

struct PlaceholderOperation final : Operation {
  TensorType type;

  explicit PlaceholderOperation(const TensorType& t) : type(t) {}
  std::string kind() const override { return "placeholder"; }
  std::vector<TensorType> infer(std::span<const TensorType>) const override { return {type}; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override { return {}; }
};

struct VariableOperation final : Operation {
  VariableInfo info;

  explicit VariableOperation(VariableInfo i) : info(std::move(i)) {}
  std::string kind() const override { return "variable"; }
  void attributes(const AttributeVisitor& visit) const override;
  std::vector<TensorType> infer(std::span<const TensorType>) const override { return {info.type}; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override { return {}; }
};

struct ConstantOperation final : Operation {
  TensorType type;
  std::vector<std::byte> bytes;  // of all elements, or of one that stands for all

  /// T is the element type.
  template <typename T>
  std::span<const T> values() const {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  std::string kind() const override { return "constant"; }
  void attributes(const AttributeVisitor& visit) const override;
  std::vector<TensorType> infer(std::span<const TensorType>) const override { return {type}; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override { return {}; }
};

/// The operation of `tensor`'s node if it is an Op, else null.
template <typename Op>
const Op* operation_as(Tensor tensor) {
  return dynamic_cast<const Op*>(tensor.node().operation.get());
}

/// Adds a node with one output to the graph of its inputs.
Tensor add_node(std::shared_ptr<const Operation> operation, std::vector<Tensor> inputs,
                std::string_view name = {});

// For shape rules.
inline bool dims_agree(std::int64_t a, std::int64_t b) {
  return a == b || a == kOpen || b == kOpen;
}
bool shapes_agree(const Shape& a, const Shape& b);
[[noreturn]] void shape_error(const std::string& got, const std::string& expected);
void require_rank(const TensorType& type, int rank, const char* what);
void require_dtype(const TensorType& type, DType dtype, const char* what);
/// The closed one of two dimensions that agree, else throws.
std::int64_t agreed_dim(std::int64_t a, std::int64_t b, const char* what);
/// `axis` counted from the first dimension.
int normal_axis(int axis, int rank);

}  // namespace unroll
