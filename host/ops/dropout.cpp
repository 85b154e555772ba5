/// Dropout: shape rule, forward and gradient, which is the same operation on dy.
#include "host/graph/operation.h"
#include "unroll/math/philox.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

struct DropoutState final : OperationState {
  std::uint64_t key = 0;
};

/// `site` names the mask; the gradient shares that of its forward node, which is known only once
/// that node has its name.
class DropoutOperation final : public Operation {
 public:
  DropoutOperation(double rate, std::string site) : rate_(float(rate)), site_(std::move(site)) {}

  std::string kind() const override { return "dropout"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("rate", rate_);
    if (!site_.empty()) visit("site", site_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "the input");
    if (!(rate_ >= 0 && rate_ < 1)) shape_error("rate " + std::to_string(rate_), "one in [0, 1)");
    return {inputs[0]};
  }

  void plan(PlanContext& context) const override {
    auto state = std::make_shared<DropoutState>();
    state->key = math::philox_key(context.seed, site_of(context.node).c_str());
    context.state = std::move(state);
  }

  void run(const RunContext& c) const override {
    const auto& state = static_cast<const DropoutState&>(*c.state);
    c.backend.dropout({c.inputs[0], c.outputs[0], rate_, state.key, c.step});
  }

  int in_place(int) const override { return 0; }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {add_node(std::make_shared<DropoutOperation>(rate_, site_of(node)), {dy[0]},
                     "dropout_gradient")};
  }

 private:
  const std::string& site_of(const Node& node) const { return site_.empty() ? node.name : site_; }

  float rate_;
  std::string site_;
};

}  // namespace

Tensor dropout(Tensor x, double rate, std::string_view name) {
  return add_node(std::make_shared<DropoutOperation>(rate, ""), {x}, name);
}

}  // namespace unroll
