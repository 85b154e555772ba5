/// What models end with: from the state h to a loss, and to what the model says. Its variables have
/// PyTorch's names: decoder.weight, decoder.bias.
#pragma once

#include <cstdint>
#include <vector>

#include "host/models/initialization.h"
#include "unroll/graph.h"

namespace unroll {

inline constexpr const char* kDecoder = "decoder.weight";
inline constexpr const char* kDecoderBias = "decoder.bias";

/// How the summed loss of a batch becomes the cost whose gradient is taken.
enum class LossReduction : std::uint8_t {
  kMean,  // divided by the rows that count
  kTime,  // divided by N, so summed over time (Zaremba et al. 2014)
};

struct DecoderLoss {
  Tensor cost;  // [1]
  Tensor loss;  // [M] of each row; 0 where the target is kIgnoredId. No gradient
  Tensor hit;   // [M] 1 where the target is the most probable class; empty: there are no classes
};

struct LossOptions {
  LossReduction reduction = LossReduction::kMean;
  std::int64_t batch = 1;       // N, for kTime
  std::int64_t chunk_rows = 0;  // as in SoftmaxCrossEntropyOptions
  /// [1]: the cost is the sum over the rows times this, whatever the reduction. Empty: it is not.
  Tensor weight = {};
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Shapes    h [M, inputs]; targets as each decoder says; row_weights [M] or empty (ones)
  virtual DecoderLoss loss(Tensor h, Tensor targets, Tensor row_weights,
                           const LossOptions& options) const = 0;
  /// Shapes    h [M, inputs] -> [M, outputs]
  virtual Tensor output(Tensor h) const = 0;

 protected:
  Decoder() = default;
  Decoder(const Decoder&) = default;
  Decoder& operator=(const Decoder&) = default;
};

struct DecoderShape {
  std::int64_t inputs, outputs;
};

/// Probabilities of classes, of which a row's target is one (int32 [M], kIgnoredId: none). The loss
/// is -ln p[target], the output ln p.
class SoftmaxDecoder final : public Decoder {
 public:
  /// Declares its variables. `tied`: a matrix to use in place of decoder.weight.
  SoftmaxDecoder(Graph& graph, const DecoderShape& shape, const Initialization& how = {},
                 Tensor tied = {});
  DecoderLoss loss(Tensor h, Tensor targets, Tensor row_weights,
                   const LossOptions& options) const override;
  Tensor output(Tensor h) const override;

 private:
  Tensor weight_, bias_;
};

/// Real values, which a row's targets are (float32 [M, outputs]). The loss is squared_error().
class LinearDecoder final : public Decoder {
 public:
  /// Declares its variables.
  LinearDecoder(Graph& graph, const DecoderShape& shape, const Initialization& how = {});
  DecoderLoss loss(Tensor h, Tensor targets, Tensor row_weights,
                   const LossOptions& options) const override;
  Tensor output(Tensor h) const override;

 private:
  Tensor weight_, bias_;
};

/// The mean of the squared errors of each row.
/// Shapes    output and targets [M, V] -> [M]
Tensor squared_error(Tensor output, Tensor targets);

/// The mean over Q quantiles and V values of the pinball loss of e = target - output, which is q e
/// where e is positive, and (q - 1) e where it is negative.
/// Shapes    output [M, Q V], of which column q V + v is quantile q of value v;
///           targets [M, V] -> [M]
/// Source    Koenker & Bassett 1978.
Tensor pinball_loss(Tensor output, Tensor targets, const std::vector<double>& quantiles);

/// Quantiles of real values, which a row's targets are (float32 [M, V]). The output is as in
/// pinball_loss(), which is the loss.
class QuantileDecoder final : public Decoder {
 public:
  /// Declares its variables; `shape.outputs` is V. Each quantile lies between 0 and 1.
  QuantileDecoder(Graph& graph, const DecoderShape& shape, std::vector<double> quantiles,
                  const Initialization& how = {});
  DecoderLoss loss(Tensor h, Tensor targets, Tensor row_weights,
                   const LossOptions& options) const override;
  Tensor output(Tensor h) const override;

 private:
  Tensor weight_, bias_;
  std::vector<double> quantiles_;
};

}  // namespace unroll
