/// The loss of regression, made of elementary nodes and one that checks the shapes.
#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// Its first input, which has the second's shape. That is checked also when a run is planned: two
/// open dimensions may meet there, and a difference would broadcast where one of them is 1.
class SameShapeOperation final : public Operation {
 public:
  std::string kind() const override { return "mean_squared_error"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "a");
    require_dtype(inputs[1], DType::kFloat32, "b");
    if (!shapes_agree(inputs[0].shape, inputs[1].shape))
      shape_error("a " + to_string(inputs[0].shape) + " and b " + to_string(inputs[1].shape),
                  "the same shape");
    return {inputs[0]};
  }
  int alias(std::span<const TensorType>) const override { return 0; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor> dy) const override {
    return {dy[0], {}};
  }
};

}  // namespace

Tensor mean_squared_error(Tensor a, Tensor b) {
  const Tensor difference = add_node(std::make_shared<SameShapeOperation>(), {a, b}) - b;
  return reduce_mean(difference * difference);
}

}  // namespace unroll
