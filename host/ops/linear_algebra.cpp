/// Inverses and determinants: shape rules, forward and gradients.
#include <stdexcept>

#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// The kernels, which live as long as the backend, and what a message says of the node.
struct LinearAlgebraState final : OperationState {
  LinearAlgebraKernels* kernels = nullptr;
  std::string node;
};

/// The number of matrices [..., N, N].
std::int64_t matrices(const Shape& shape) {
  return shape.without(shape.rank() - 1).rows();
}

/// [B, N, N]
View as_batch(View view) {
  const std::int64_t n = view.shape.last();
  view.shape = {matrices(view.shape), n, n};
  return view;
}

TensorType require_square(const TensorType& a) {
  require_dtype(a, DType::kFloat32, "the matrices");
  const Shape& shape = a.shape;
  if (shape.rank() < 2 || !dims_agree(shape[shape.rank() - 2], shape.last()))
    shape_error(to_string(shape), "square matrices [..., N, N]");
  if (shape.last() == 0) shape_error(to_string(shape), "matrices of 1 or more rows");
  return a;
}

void plan_kernels(PlanContext& context) {
  auto state = std::make_shared<LinearAlgebraState>();
  state->kernels = context.backend.linear_algebra();
  state->node = context.node.operation->kind() + " '" + context.node.name + "'";
  if (!state->kernels)
    throw std::runtime_error(state->node + ": " + context.backend.name() +
                             " has no kernel for it; use a CPU or another GPU");
  const Shape& shape = context.inputs[0].shape;
  context.scratch_bytes =
      state->kernels->matrix_scratch_bytes({matrices(shape), shape.last(), shape.last()});
  context.state = std::move(state);
}

class InverseOperation final : public Operation {
 public:
  std::string kind() const override { return "inverse"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {require_square(inputs[0])};
  }
  void plan(PlanContext& context) const override { plan_kernels(context); }

  void run(const RunContext& c) const override {
    const auto& state = static_cast<const LinearAlgebraState&>(*c.state);
    const auto singular =
        state.kernels->invert({as_batch(c.inputs[0]), as_batch(c.outputs[0]), c.scratch});
    if (!singular) return;
    throw std::runtime_error(
        state.node + ": " +
        (c.inputs[0].shape.rank() == 2
             ? std::string("the matrix is singular")
             : "matrix " + std::to_string(*singular) + " of the batch is singular"));
  }

  /// da = -(a^-1)^T dy (a^-1)^T
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const Tensor y(&node, 0);
    return {-matmul(matmul(y, dy[0], {.transpose_a = true}), y, {.transpose_b = true})};
  }
};

class DeterminantOperation final : public Operation {
 public:
  std::string kind() const override { return "determinant"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_square(inputs[0]);
    const Shape rows = inputs[0].shape.without(inputs[0].shape.rank() - 1);
    return {{rows.without(rows.rank() - 1), DType::kFloat32}};
  }
  void plan(PlanContext& context) const override { plan_kernels(context); }

  void run(const RunContext& c) const override {
    const auto& state = static_cast<const LinearAlgebraState&>(*c.state);
    View determinant = c.outputs[0];
    determinant.shape = {determinant.elements()};
    state.kernels->determinants({as_batch(c.inputs[0]), determinant, c.scratch});
  }

  /// da = dy |a| (a^-1)^T
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const Tensor a = node.inputs[0];
    std::vector<int> order;
    for (int k = 0; k < a.shape().rank(); ++k) order.push_back(k);
    std::swap(order[order.size() - 2], order.back());
    const Tensor factor = expand_dims(expand_dims(dy[0] * Tensor(&node, 0), -1), -1);
    return {factor * transpose(inverse(a), order)};
  }
};

}  // namespace

Tensor inverse(Tensor a) {
  return add_node(std::make_shared<InverseOperation>(), {a});
}

Tensor determinant(Tensor a) {
  return add_node(std::make_shared<DeterminantOperation>(), {a});
}

}  // namespace unroll
