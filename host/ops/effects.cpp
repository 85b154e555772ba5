/// Nodes run for what they do: writing variables, and tying several such nodes together. A plan
/// runs them after everything that reads the old values. None has a gradient.
#include "host/ops/effects.h"

#include "host/ops/elementwise.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

enum class Assignment : std::uint8_t { kSet, kSetFinite, kAdd };

const char* name_of(Assignment assignment) {
  switch (assignment) {
    case Assignment::kSet:
      return "assign";
    case Assignment::kSetFinite:
      return "assign_finite";
    case Assignment::kAdd:
      return "assign_add";
  }
  return "?";
}

class AssignOperation final : public Operation {
 public:
  explicit AssignOperation(Assignment assignment) : assignment_(assignment) {}

  std::string kind() const override { return name_of(assignment_); }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[1], inputs[0].dtype, "the value");
    if (assignment_ == Assignment::kSetFinite)
      require_dtype(inputs[0], DType::kFloat32, "the variable");
    if (assignment_ == Assignment::kAdd && !computes(ElementwiseKind::kAdd, inputs[0].dtype))
      shape_error("a variable of " + to_string(inputs[0].dtype), "numbers");
    if (!shapes_agree(inputs[0].shape, inputs[1].shape))
      shape_error("a value " + to_string(inputs[1].shape),
                  "the variable's shape " + to_string(inputs[0].shape));
    return {no_value()};
  }

  void run(const RunContext& c) const override {
    const View &variable = c.inputs[0], &value = c.inputs[1];
    if (assignment_ == Assignment::kAdd)
      c.backend.elementwise({ElementwiseKind::kAdd, variable, value, variable});
    else if (assignment_ == Assignment::kSetFinite)
      c.backend.elementwise({ElementwiseKind::kFinite, value, {}, variable});
    else if (variable.data != value.data)
      c.backend.copy(variable.data, value.data, value.bytes());
  }

  std::vector<int> written_inputs() const override { return {0}; }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}, {}};
  }

 private:
  Assignment assignment_;
};

class GroupOperation final : public Operation {
 public:
  std::string kind() const override { return "group"; }
  std::vector<TensorType> infer(std::span<const TensorType>) const override { return {no_value()}; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor>) const override {
    return std::vector<Gradient>(node.inputs.size());
  }
};

Tensor assignment(Assignment assignment, Tensor variable, Tensor value) {
  if (!variable || !operation_as<VariableOperation>(variable))
    throw std::invalid_argument(std::string(name_of(assignment)) +
                                ": the target is not a variable");
  // Another update of the same run must not change the value first.
  return add_node(std::make_shared<AssignOperation>(assignment), {variable, own_memory(value)});
}

}  // namespace

Tensor assign(Tensor variable, Tensor value) {
  return assignment(Assignment::kSet, variable, value);
}
Tensor assign_finite(Tensor variable, Tensor value) {
  return assignment(Assignment::kSetFinite, variable, value);
}
Tensor assign_add(Tensor variable, Tensor value) {
  return assignment(Assignment::kAdd, variable, value);
}

Tensor group(const std::vector<Tensor>& parts) {
  return add_node(std::make_shared<GroupOperation>(), parts);
}

}  // namespace unroll
