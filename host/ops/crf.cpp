/// A linear-chain conditional random field: shape rules, loss, gradient, and the best sequence.
/// The loss keeps what its gradient needs as two more outputs, which nothing computes unless a
/// gradient reads them.
#include "unroll/ops/crf.h"

#include <string>

#include "host/graph/operation.h"

namespace unroll {
namespace {

/// The weights are the last three inputs of the loss and of decoding.
constexpr std::size_t kCrfWeights = 3;

CrfSize crf_size(const Shape& scores) {
  return {scores[0], scores[1], scores[2]};
}

CrfWeightViews crf_weights(std::span<const View> views) {
  return {views[0], views[1], views[2]};
}

/// The shape of the scores, with K as the weights have it. Inputs: scores, [tags,] lengths,
/// weights.
Shape check_crf(std::span<const TensorType> inputs) {
  const TensorType& scores = inputs.front();
  require_rank(scores, 3, "scores");
  require_dtype(scores, DType::kFloat32, "scores");
  Shape shape = scores.shape;
  const auto weights = inputs.last(kCrfWeights);
  const char* const names[] = {"transitions", "start_transitions", "end_transitions"};
  for (std::size_t k = 0; k < kCrfWeights; ++k) {
    require_rank(weights[k], k == 0 ? 2 : 1, names[k]);
    require_dtype(weights[k], DType::kFloat32, names[k]);
    for (const std::int64_t dim : weights[k].shape.dims())
      shape[2] = agreed_dim(shape[2], dim, (std::string("tags of scores and ") + names[k]).c_str());
  }
  if (shape[2] != kOpen && (shape[2] < 1 || shape[2] > kMaxCrfTags))
    shape_error(std::to_string(shape[2]) + " tags", "1 to " + std::to_string(kMaxCrfTags));
  const TensorType& lengths = inputs[inputs.size() - kCrfWeights - 1];
  require_rank(lengths, 1, "lengths");
  require_dtype(lengths, DType::kInt32, "lengths");
  shape[1] = agreed_dim(shape[1], lengths.shape[0], "sequences of scores and lengths");
  return shape;
}

/// Inputs: tags, lengths, the weights, alpha, sums, dloss. Outputs: dscores, and the gradients of
/// the weights.
class CrfLossGradientOperation final : public Operation {
 public:
  std::string kind() const override { return "crf_loss_gradient"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[5], inputs[2], inputs[3], inputs[4]};
  }
  void plan(PlanContext& context) const override {
    context.scratch_bytes = context.backend.crf_scratch_bytes(CrfPass::kLossGradient,
                                                              crf_size(context.inputs[5].shape));
  }
  void run(const RunContext& c) const override {
    c.backend.crf_loss_gradient({c.inputs[0], c.inputs[1],
                                 crf_weights(c.inputs.subspan(2, kCrfWeights)), c.inputs[5],
                                 c.inputs[6], c.inputs[7], c.outputs[0],
                                 crf_weights(c.outputs.subspan(1, kCrfWeights)), c.scratch});
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    throw std::invalid_argument("crf_loss_gradient: has no gradient of its own");
  }
};

/// Inputs: scores, tags, lengths, the weights. Outputs: loss, and alpha and sums for the gradient.
class CrfLossOperation final : public Operation {
 public:
  std::string kind() const override { return "crf_loss"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    Shape scores = check_crf(inputs);
    require_rank(inputs[1], 2, "tags");
    require_dtype(inputs[1], DType::kInt32, "tags");
    scores[0] = agreed_dim(scores[0], inputs[1].shape[0], "timesteps of scores and tags");
    scores[1] = agreed_dim(scores[1], inputs[1].shape[1], "sequences of scores and tags");
    const TensorType saved{scores, DType::kFloat32};
    return {{Shape{scores[1]}, DType::kFloat32}, saved, saved};
  }

  void plan(PlanContext& context) const override {
    context.scratch_bytes =
        context.backend.crf_scratch_bytes(CrfPass::kLoss, crf_size(context.inputs[0].shape));
  }

  void run(const RunContext& c) const override {
    c.backend.crf_loss({c.inputs[0], c.inputs[1], c.inputs[2],
                        crf_weights(c.inputs.last(kCrfWeights)), c.outputs[0], c.outputs[1],
                        c.outputs[2], c.scratch});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    std::vector<Gradient> result(node.inputs.size());
    if (!dy[0]) return result;
    std::vector<Tensor> inputs(node.inputs.begin() + 1, node.inputs.end());
    inputs.insert(inputs.end(), {{&node, 1}, {&node, 2}, dy[0]});
    const Tensor dscores =
        add_node(std::make_shared<CrfLossGradientOperation>(), std::move(inputs));
    result[0] = dscores;
    for (std::size_t k = 0; k < kCrfWeights; ++k)
      result[3 + k] = Tensor(&dscores.node(), int(1 + k));
    return result;
  }
};

/// Inputs: scores, lengths, the weights.
class CrfDecodeOperation final : public Operation {
 public:
  std::string kind() const override { return "crf_decode"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const Shape scores = check_crf(inputs);
    return {{Shape{scores[0], scores[1]}, DType::kInt32}};
  }

  void plan(PlanContext& context) const override {
    context.scratch_bytes =
        context.backend.crf_scratch_bytes(CrfPass::kDecode, crf_size(context.inputs[0].shape));
  }

  void run(const RunContext& c) const override {
    c.backend.crf_decode({c.inputs[0], c.inputs[1], crf_weights(c.inputs.last(kCrfWeights)),
                          c.outputs[0], c.scratch});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor>) const override {
    return std::vector<Gradient>(node.inputs.size());
  }
};

}  // namespace

Tensor crf_loss(Tensor scores, Tensor tags, Tensor lengths, const CrfWeights& weights) {
  return add_node(std::make_shared<CrfLossOperation>(),
                  {scores, tags, lengths, weights.transitions, weights.start_transitions,
                   weights.end_transitions});
}

Tensor crf_decode(Tensor scores, Tensor lengths, const CrfWeights& weights) {
  return add_node(
      std::make_shared<CrfDecodeOperation>(),
      {scores, lengths, weights.transitions, weights.start_transitions, weights.end_transitions});
}

}  // namespace unroll
