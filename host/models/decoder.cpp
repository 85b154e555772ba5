#include "host/models/decoder.h"

#include <utility>

#include "host/data/examples.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

struct Parameters {
  Tensor weight, bias;
};

Parameters declare(Graph& graph, const DecoderShape& shape, const Initialization& how,
                   Tensor tied = {}) {
  const Initializer table = uniform(-how.table_range(), how.table_range());
  Parameters p;
  p.weight = tied ? tied : graph.variable(kDecoder, {shape.outputs, shape.inputs}, table);
  p.bias = graph.variable(kDecoderBias, {shape.outputs}, how.range > 0 ? table : constant(0));
  return p;
}

Tensor linear(Tensor h, Tensor weight, Tensor bias) {
  return matmul(h, weight, {.transpose_b = true}) + bias;
}

/// The loss of a batch whose rows have the losses [M].
DecoderLoss reduced(Tensor loss, Tensor row_weights, const LossOptions& options) {
  const Tensor sum = reduce_sum(row_weights ? loss * row_weights : loss);
  Tensor cost = sum / double(options.batch);
  if (options.weight)
    cost = sum * options.weight;
  else if (options.reduction == LossReduction::kMean)
    cost = row_weights ? sum / reduce_sum(row_weights) : reduce_mean(loss);
  return {cost, stop_gradient(loss), {}};
}

}  // namespace

SoftmaxDecoder::SoftmaxDecoder(Graph& graph, const DecoderShape& shape, const Initialization& how,
                               Tensor tied) {
  const Parameters p = declare(graph, shape, how, tied);
  weight_ = p.weight;
  bias_ = p.bias;
}

DecoderLoss SoftmaxDecoder::loss(Tensor h, Tensor targets, Tensor row_weights,
                                 const LossOptions& options) const {
  // Weights of rows cost less than a factor for the gradient of a large matrix.
  if (options.weight) {
    const Tensor rows = cast(greater_equal(targets, 0), DType::kFloat32) * options.weight;
    row_weights = row_weights ? row_weights * rows : rows;
  }
  const SoftmaxCrossEntropyResult result =
      softmax_cross_entropy(h, {weight_, bias_}, targets,
                            {.row_weights = row_weights,
                             .chunk_rows = options.chunk_rows,
                             .ignored_id = kIgnoredId,
                             .mean = !options.weight && options.reduction == LossReduction::kMean,
                             .scale = options.weight ? 1 : 1 / double(options.batch)});
  return {result.loss, -result.log_prob, result.hit};
}

Tensor SoftmaxDecoder::output(Tensor h) const {
  return log_softmax(linear(h, weight_, bias_));
}

LinearDecoder::LinearDecoder(Graph& graph, const DecoderShape& shape, const Initialization& how) {
  const Parameters p = declare(graph, shape, how);
  weight_ = p.weight;
  bias_ = p.bias;
}

DecoderLoss LinearDecoder::loss(Tensor h, Tensor targets, Tensor row_weights,
                                const LossOptions& options) const {
  return reduced(squared_error(output(h), targets), row_weights, options);
}

Tensor LinearDecoder::output(Tensor h) const {
  return linear(h, weight_, bias_);
}

Tensor squared_error(Tensor output, Tensor targets) {
  const Tensor error = output - targets;
  return reduce_mean(error * error, 1);
}

Tensor pinball_loss(Tensor output, Tensor targets, const std::vector<double>& quantiles) {
  const std::int64_t values = targets.shape()[1];
  Tensor sum;
  for (std::size_t k = 0; k < quantiles.size(); ++k) {
    const std::int64_t begin = std::int64_t(k) * values;
    const Tensor error = targets - slice(output, 1, begin, begin + values);
    const Tensor one =
        reduce_mean(quantiles[k] * relu(error) + (1 - quantiles[k]) * relu(-error), 1);
    sum = sum ? sum + one : one;
  }
  return sum / double(quantiles.size());
}

QuantileDecoder::QuantileDecoder(Graph& graph, const DecoderShape& shape,
                                 std::vector<double> quantiles, const Initialization& how)
    : quantiles_(std::move(quantiles)) {
  const Parameters p =
      declare(graph, {shape.inputs, shape.outputs * std::int64_t(quantiles_.size())}, how);
  weight_ = p.weight;
  bias_ = p.bias;
}

DecoderLoss QuantileDecoder::loss(Tensor h, Tensor targets, Tensor row_weights,
                                  const LossOptions& options) const {
  return reduced(pinball_loss(output(h), targets, quantiles_), row_weights, options);
}

Tensor QuantileDecoder::output(Tensor h) const {
  return linear(h, weight_, bias_);
}

}  // namespace unroll
