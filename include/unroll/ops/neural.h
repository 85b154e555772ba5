/// What networks are made of beside products: softmax, dropout, losses, draws from a distribution.
#pragma once

#include <cstdint>
#include <string_view>

#include "unroll/graph.h"

namespace unroll {

// Over the last dimension.
Tensor softmax(Tensor x);
Tensor log_softmax(Tensor x);

/// Zeroes each element with probability `rate` in [0, 1) and divides the rest by 1 - rate. The mask
/// depends only on (seed, node name, step, index).
Tensor dropout(Tensor x, double rate, std::string_view name = "dropout");

/// (x - mean) / sqrt(variance + 1e-5) gain + bias, with mean and variance of the last dimension.
/// The variance divides by its size.
/// Shapes    x [..., E], gain [E], bias [E] -> [..., E]
/// Source    Ba, Kiros & Hinton 2016.
Tensor layer_norm(Tensor x, Tensor gain, Tensor bias);

struct ConvolutionOptions {
  std::int64_t stride = 1;    // elements from one place of the window to the next
  std::int64_t padding = 0;   // zeros before and after each axis
  std::int64_t dilation = 1;  // elements from one weight to the next
};
// The sum of weight times x under it at each place of a window, without a bias, as PyTorch has it:
// the weights are not mirrored. Options hold for both axes. An axis of n elements has
// (n + 2 padding - dilation (k - 1) - 1) / stride + 1 places, rounded down.
/// Shapes    x [N, C, L], weight [F, C, K] -> [N, F, places]
Tensor convolution_1d(Tensor x, Tensor weight, const ConvolutionOptions& options = {});
/// Shapes    x [N, C, H, W], weight [F, C, KH, KW] -> [N, F, places, places]
Tensor convolution_2d(Tensor x, Tensor weight, const ConvolutionOptions& options = {});

struct PoolOptions {
  std::int64_t stride = 0;   // 0: the window's size, so that windows do not overlap
  std::int64_t padding = 0;  // before and after each axis, at most half a window
};
// The greatest, or the mean, of the elements of each channel in a window. Padding is never the
// greatest, and it counts as zeros in a mean. Elements that share a maximum share its gradient
// equally.
/// Shapes    x [N, C, L] -> [N, C, places]
Tensor max_pool_1d(Tensor x, std::int64_t size, const PoolOptions& options = {});
Tensor mean_pool_1d(Tensor x, std::int64_t size, const PoolOptions& options = {});
/// Shapes    x [N, C, H, W] -> [N, C, places, places], with a square window
Tensor max_pool_2d(Tensor x, std::int64_t size, const PoolOptions& options = {});
Tensor mean_pool_2d(Tensor x, std::int64_t size, const PoolOptions& options = {});

/// The mean over all elements of (a - b)^2. Nothing is broadcast.
/// Shapes    a and b have the same shape -> a scalar.
Tensor mean_squared_error(Tensor a, Tensor b);

/// The layer that gives the logits h W^T + b.
struct DecoderWeights {
  Tensor weight, bias;
};

struct SoftmaxCrossEntropyOptions {
  Tensor row_weights = {};      // factors of the rows' losses; empty: ones
  std::int64_t chunk_rows = 0;  // rows of logits in memory at a time; 0: as many as suit the device
  std::int64_t ignored_id = -1;  // rows with this target count for nothing
  bool mean = false;             // divides the sum of the losses by the sum of the rows' weights
  double scale = 1;              // multiplies the sum, unless `mean`
};

struct SoftmaxCrossEntropyResult {
  Tensor loss;      // [1]
  Tensor log_prob;  // [M] ln p[target]; 0 where ignored. No gradient
  Tensor hit;       // [M] 1 where the target is the best class. No gradient
};

/// The loss of a classifier: decoder, softmax and cross-entropy in one node, which never holds more
/// than a chunk of the logits h W^T + b.
/// Shapes    h [M, H], weight [V, H], bias [V], targets [M] int32, row_weights [M]
SoftmaxCrossEntropyResult softmax_cross_entropy(Tensor h, const DecoderWeights& decoder,
                                                Tensor targets,
                                                const SoftmaxCrossEntropyOptions& options = {});

struct SamplingOptions {
  double temperature = 1;  // divides the logarithms; 0: always the most probable id
  std::int64_t top_k = 0;  // only the k most probable ids; 0: all
  double top_p = 1;        // only the most probable ids that together reach this
  double min_p = 0;        // only ids at least this many times as probable as the most probable
  std::uint64_t seed = 0;  // not the session's
  std::int64_t excluded_id = -1;  // is never drawn, as if its logarithm were -inf; -1: none

  /// Errors    std::invalid_argument for a negative or non-finite temperature, a negative top_k,
  ///           top_p outside (0, 1], or min_p outside [0, 1].
  void check() const;
};

/// Draws an id from each distribution. Temperature comes first, then top_k, top_p and min_p. The
/// draw of row n depends only on (seed, step, n) and the row, so row 0 draws what a single
/// distribution would. It is -1 if a log probability is NaN or the greatest is not finite. No
/// gradient. Shapes    log_prob [N, V] -> [N] int32, or one distribution [V] -> [1]; normalised or
/// not, -inf
///           for an id that is excluded
/// Source    of top_p: Holtzman et al. 2020; of min_p: Nguyen et al. 2024.
Tensor sample(Tensor log_prob, const SamplingOptions& options = {},
              std::string_view name = "sample");

}  // namespace unroll
