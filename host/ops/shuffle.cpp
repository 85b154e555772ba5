/// A random order of rows. Its gradient takes the rows back to where they were.
#include "host/graph/operation.h"
#include "host/ops/layout.h"
#include "unroll/math/philox.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// Outputs: the ids of x's rows in a random order, and the inverse of this permutation. A shuffle
/// reads both.
class PermutationOperation final : public Operation {
 public:
  explicit PermutationOperation(std::uint64_t seed) : seed_(seed) {}

  std::string kind() const override { return "permutation"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("seed", std::to_string(seed_));  // all 64 bits: no integer of ours holds them
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const Shape& shape = inputs[0].shape;
    if (shape.rank() < 1) shape_error("a scalar", "1 or more dimensions");
    if (shape[0] > INT32_MAX)
      shape_error(std::to_string(shape[0]) + " rows", "at most " + std::to_string(INT32_MAX));
    return {2, {{shape[0]}, DType::kInt32}};
  }

  void plan(PlanContext& context) const override {
    context.scratch_bytes = context.backend.permutation_scratch_bytes(context.inputs[0].shape[0]);
  }

  void run(const RunContext& c) const override {
    c.backend.permutation({.key = math::philox_key(seed_, "shuffle"),
                           .step = c.step,
                           .order = c.outputs[0],
                           .inverse = c.outputs[1],
                           .scratch = c.scratch});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }

 private:
  std::uint64_t seed_;
};

/// Inputs: x, the ids of its rows in their new order, and the inverse permutation.
class ShuffleOperation final : public Operation {
 public:
  std::string kind() const override { return "shuffle"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[0]};
  }

  void run(const RunContext& c) const override {
    const auto rows_of = [](View view) {
      const std::int64_t rows = view.shape[0];
      view.shape = {rows, row_major_strides(view.shape)[0]};
      return view;
    };
    c.backend.gather_rows({rows_of(c.inputs[0]), c.inputs[1], rows_of(c.outputs[0])});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {add_node(std::make_shared<ShuffleOperation>(), {dy[0], node.inputs[2], node.inputs[1]}),
            {},
            {}};
  }
};

}  // namespace

Tensor shuffle(Tensor x, std::uint64_t seed) {
  const Tensor order = add_node(std::make_shared<PermutationOperation>(seed), {x});
  return add_node(std::make_shared<ShuffleOperation>(), {x, order, {&order.node(), 1}});
}

}  // namespace unroll
