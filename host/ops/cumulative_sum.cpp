/// Running sums: shape rule, forward and gradient, which runs the other way.
#include "host/graph/operation.h"
#include "host/ops/layout.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

class CumulativeSumOperation final : public Operation {
 public:
  CumulativeSumOperation(int axis, const CumulativeSumOptions& options)
      : axis_(axis), options_(options) {}

  std::string kind() const override { return "cumulative_sum"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("axis", axis_);
    visit("exclusive", options_.exclusive);
    visit("reverse", options_.reverse);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "the input");
    normal_axis(axis_, inputs[0].shape.rank());
    return {inputs[0]};
  }

  void run(const RunContext& c) const override {
    c.backend.cumulative_sum({around_axis(c.inputs[0], axis_), around_axis(c.outputs[0], axis_),
                              options_.exclusive, options_.reverse});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor> dy) const override {
    return {cumulative_sum(dy[0], axis_,
                           {.exclusive = options_.exclusive, .reverse = !options_.reverse})};
  }

 private:
  int axis_;
  CumulativeSumOptions options_;
};

}  // namespace

Tensor cumulative_sum(Tensor x, int axis, const CumulativeSumOptions& options) {
  return add_node(std::make_shared<CumulativeSumOperation>(axis, options), {x});
}

}  // namespace unroll
