/// Decoder, softmax and cross-entropy in one node. Where a gradient is asked for, the same pass
/// over the logits that gives the loss gives it too: the node then has d loss / d h, weight and
/// bias among its outputs.
#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

enum Output { kLoss, kLogProb, kHit, kDh, kDweight, kDbias };
enum Input { kH, kWeight, kBias, kTargets, kRowWeights };

struct State final : OperationState {
  std::unique_ptr<SoftmaxCrossEntropyPlan> plan;
};

class SoftmaxCrossEntropyOperation final : public Operation {
 public:
  explicit SoftmaxCrossEntropyOperation(const SoftmaxCrossEntropyOptions& options)
      : options_(options) {
    options_.row_weights = {};  // an input
  }

  std::string kind() const override { return "softmax_cross_entropy"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("chunk_rows", options_.chunk_rows);
    visit("ignored_id", options_.ignored_id);
    visit("mean", options_.mean);
    if (!options_.mean) visit("scale", options_.scale);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const TensorType &h = inputs[kH], &weight = inputs[kWeight], &bias = inputs[kBias];
    require_rank(h, 2, "h");
    require_rank(weight, 2, "weight");
    require_rank(bias, 1, "bias");
    require_rank(inputs[kTargets], 1, "targets");
    require_dtype(h, DType::kFloat32, "h");
    require_dtype(weight, DType::kFloat32, "weight");
    require_dtype(bias, DType::kFloat32, "bias");
    require_dtype(inputs[kTargets], DType::kInt32, "targets");
    agreed_dim(h.shape[1], weight.shape[1], "hidden sizes of h and weight");
    agreed_dim(weight.shape[0], bias.shape[0], "classes of weight and bias");
    const std::int64_t rows =
        agreed_dim(h.shape[0], inputs[kTargets].shape[0], "rows of h and targets");
    if (inputs.size() > kRowWeights) {
      require_rank(inputs[kRowWeights], 1, "row weights");
      require_dtype(inputs[kRowWeights], DType::kFloat32, "row weights");
      agreed_dim(rows, inputs[kRowWeights].shape[0], "rows of h and row weights");
    }
    if (options_.chunk_rows < 0)
      shape_error("chunk_rows " + std::to_string(options_.chunk_rows), "0 or more");
    const TensorType per_row{Shape{rows}, DType::kFloat32};
    return {{Shape{1}, DType::kFloat32}, per_row, per_row, h, weight, bias};
  }

  void plan(PlanContext& context) const override {
    const Shape &h = context.inputs[kH].shape, &weight = context.inputs[kWeight].shape;
    auto state = std::make_shared<State>();
    state->plan = context.backend.softmax_cross_entropy_plan(
        {h[0], h[1], weight[0], options_.chunk_rows, options_.ignored_id,
         context.wanted[kDh] || context.wanted[kDweight] || context.wanted[kDbias]});
    context.scratch_bytes = state->plan->scratch_bytes();
    context.state = std::move(state);
  }

  void prepare(const RunContext& c) const override { plan_of(c).prepare(c.inputs[kWeight]); }

  void run(const RunContext& c) const override {
    if (!c.inputs[kWeight].version) plan_of(c).prepare(c.inputs[kWeight]);
    plan_of(c).run({c.inputs[kH], c.inputs[kWeight], c.inputs[kBias], c.inputs[kTargets],
                    c.inputs.size() > kRowWeights ? c.inputs[kRowWeights] : View(),
                    float(options_.scale), options_.mean, c.outputs[kLoss], c.outputs[kLogProb],
                    c.outputs[kHit], c.outputs[kDh], c.outputs[kDweight], c.outputs[kDbias],
                    c.scratch});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    std::vector<Gradient> result(node.inputs.size());
    if (!dy[kLoss]) return result;
    const auto scaled = [&](Output output) {
      const Tensor gradient(&node, output);
      return Gradient(is_one(dy[kLoss]) ? gradient : gradient * dy[kLoss]);
    };
    result[kH] = scaled(kDh);
    result[kWeight] = scaled(kDweight);
    result[kBias] = scaled(kDbias);
    return result;
  }

 private:
  static SoftmaxCrossEntropyPlan& plan_of(const RunContext& c) {
    return *static_cast<State&>(*c.state).plan;
  }

  /// The gradient of a loss that is itself the cost: no need to multiply by it.
  static bool is_one(const Tensor& dy) {
    const auto* constant = operation_as<ConstantOperation>(dy);
    return constant && constant->type.dtype == DType::kFloat32 &&
           constant->values<float>().size() == 1 && constant->values<float>().front() == 1;
  }

  SoftmaxCrossEntropyOptions options_;
};

}  // namespace

SoftmaxCrossEntropyResult softmax_cross_entropy(Tensor h, const DecoderWeights& decoder,
                                                Tensor targets,
                                                const SoftmaxCrossEntropyOptions& options) {
  std::vector<Tensor> inputs = {h, decoder.weight, decoder.bias, targets};
  if (options.row_weights) inputs.push_back(options.row_weights);
  Tensor loss =
      add_node(std::make_shared<SoftmaxCrossEntropyOperation>(options), std::move(inputs));
  return {loss, {&loss.node(), kLogProb}, {&loss.node(), kHit}};
}

}  // namespace unroll
