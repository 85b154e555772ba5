#include "host/models/decoder.h"

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

}  // namespace

SoftmaxDecoder::SoftmaxDecoder(Graph& graph, const DecoderShape& shape, const Initialization& how,
                               Tensor tied) {
  const Parameters p = declare(graph, shape, how, tied);
  weight_ = p.weight;
  bias_ = p.bias;
}

DecoderLoss SoftmaxDecoder::loss(Tensor h, Tensor targets, Tensor row_weights,
                                 const LossOptions& options) const {
  const SoftmaxCrossEntropyResult result =
      softmax_cross_entropy(h, weight_, bias_, targets, row_weights,
                            {.chunk_rows = options.chunk_rows,
                             .ignored_id = kIgnoredId,
                             .mean = options.reduction == LossReduction::kMean,
                             .scale = 1 / double(options.batch)});
  return {result.loss, -result.log_prob, result.hit};
}

Tensor SoftmaxDecoder::output(Tensor h) const {
  return log_softmax(matmul(h, weight_, {.transpose_b = true}) + bias_);
}

LinearDecoder::LinearDecoder(Graph& graph, const DecoderShape& shape, const Initialization& how) {
  const Parameters p = declare(graph, shape, how);
  weight_ = p.weight;
  bias_ = p.bias;
}

DecoderLoss LinearDecoder::loss(Tensor h, Tensor targets, Tensor row_weights,
                                const LossOptions& options) const {
  const Tensor error = output(h) - targets;
  const Tensor loss = reduce_mean(error * error, 1);
  const Tensor sum = reduce_sum(row_weights ? loss * row_weights : loss);
  Tensor cost = sum / double(options.batch);
  if (options.reduction == LossReduction::kMean)
    cost = row_weights ? sum / reduce_sum(row_weights) : reduce_mean(loss);
  return {cost, stop_gradient(loss), {}};
}

Tensor LinearDecoder::output(Tensor h) const {
  return matmul(h, weight_, {.transpose_b = true}) + bias_;
}

}  // namespace unroll
