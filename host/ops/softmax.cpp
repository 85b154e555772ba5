/// Softmax and its logarithm over the last dimension: shape rule, forward and gradient.
#include "host/ops/softmax.h"

#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// Inputs: y, dy.
class SoftmaxGradientOperation final : public Operation {
 public:
  explicit SoftmaxGradientOperation(bool log) : log_(log) {}
  std::string kind() const override { return "softmax_gradient"; }
  void attributes(const AttributeVisitor& visit) const override { visit("log", log_); }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[0]};
  }
  void run(const RunContext& c) const override {
    c.backend.softmax_gradient({c.inputs[0], c.inputs[1], c.outputs[0], log_});
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    throw std::invalid_argument("softmax_gradient: has no gradient of its own");
  }

 private:
  bool log_;
};

class SoftmaxOperation final : public Operation {
 public:
  explicit SoftmaxOperation(bool log) : log_(log) {}

  bool log() const { return log_; }

  std::string kind() const override { return log_ ? "log_softmax" : "softmax"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "the input");
    if (inputs[0].shape.rank() == 0) shape_error("a scalar", "1 or more dimensions");
    return {inputs[0]};
  }

  void run(const RunContext& c) const override {
    c.backend.softmax({c.inputs[0], c.outputs[0], log_});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const Tensor y(&node, 0);
    return {add_node(std::make_shared<SoftmaxGradientOperation>(log_), {y, dy[0]})};
  }

 private:
  bool log_;
};

}  // namespace

Tensor softmax_input(Tensor x) {
  const auto* operation = x ? operation_as<SoftmaxOperation>(x) : nullptr;
  return operation && !operation->log() ? x.node().inputs[0] : Tensor();
}

Tensor softmax(Tensor x) {
  return add_node(std::make_shared<SoftmaxOperation>(false), {x});
}
Tensor log_softmax(Tensor x) {
  return add_node(std::make_shared<SoftmaxOperation>(true), {x});
}

}  // namespace unroll
