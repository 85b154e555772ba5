/// Layer normalisation, made of elementary nodes and one that checks the shapes.
#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// Its first input, whose last dimension gain and bias have. That is checked also when a run is
/// planned: two open dimensions may meet there, and one element would broadcast.
class LayerNormInputOperation final : public Operation {
 public:
  std::string kind() const override { return "layer_norm"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const char* const names[] = {"x", "the gain", "the bias"};
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      require_dtype(inputs[k], DType::kFloat32, names[k]);
      if (k > 0) require_rank(inputs[k], 1, names[k]);
    }
    const Shape& x = inputs[0].shape;
    if (x.rank() < 1) shape_error("x " + to_string(x), "1 or more dimensions");
    for (std::size_t k = 1; k < inputs.size(); ++k)
      if (!dims_agree(inputs[k].shape[0], x.last()))
        shape_error(
            std::string(names[k]) + " " + to_string(inputs[k].shape) + " for x " + to_string(x),
            "one number for each element of the last dimension");
    return {inputs[0]};
  }
  int alias(std::span<const TensorType>) const override { return 0; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor> dy) const override {
    return {dy[0], {}, {}};
  }
};

}  // namespace

Tensor layer_norm(Tensor x, Tensor gain, Tensor bias) {
  const Tensor checked = add_node(std::make_shared<LayerNormInputOperation>(), {x, gain, bias});
  const ReduceOptions keep{.keep_dims = true};
  const Tensor centred = checked - reduce_mean(checked, -1, keep);
  const Tensor variance = reduce_mean(centred * centred, -1, keep);
  return centred / sqrt(variance + 1e-5) * gain + bias;
}

}  // namespace unroll
