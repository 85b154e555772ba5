/// The elementary operations: functions of tensors that add a node and return its output.
///
/// Each checks shapes and element types when it is called, and throws std::invalid_argument (what,
/// got, expected) if they do not fit. Each has a gradient unless it says otherwise. Tensors are
/// float32 and ids int32. [...] stands for any dimensions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "unroll/graph.h"

namespace unroll {

// Element by element. The shapes broadcast as in NumPy.
Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator/(Tensor a, Tensor b);
Tensor operator-(Tensor a);
Tensor operator+(Tensor a, double b);
Tensor operator+(double a, Tensor b);
Tensor operator-(Tensor a, double b);
Tensor operator-(double a, Tensor b);
Tensor operator*(Tensor a, double b);
Tensor operator*(double a, Tensor b);
Tensor operator/(Tensor a, double b);
Tensor operator/(double a, Tensor b);

Tensor tanh(Tensor x);
Tensor logistic(Tensor x);  // 1 / (1 + e^-x)
Tensor relu(Tensor x);      // max(x, 0)
Tensor exp(Tensor x);
Tensor log(Tensor x);  // the natural logarithm
/// 1 where a == b, else 0. Its gradient is zero.
Tensor equal(Tensor a, Tensor b);

struct MatmulOptions {
  bool transpose_a = false;  // a is [K, M]
  bool transpose_b = false;  // b is [N, K]
};

/// The matrix product: matmul(x, weight, {.transpose_b = true}) is x W^T.
/// Shapes    a [..., K], b [K, N] -> [..., N]; with transpose_a, a [K, M], b [K, N] -> [M, N]
Tensor matmul(Tensor a, Tensor b, const MatmulOptions& options = {});

// Over the last dimension.
Tensor softmax(Tensor x);
Tensor log_softmax(Tensor x);

/// As the end of a slice: up to the last element.
inline constexpr std::int64_t kEnd = INT64_MAX;
/// Elements [begin, end) of one axis. Negative numbers count from the last.
Tensor slice(Tensor x, int axis, std::int64_t begin, std::int64_t end = kEnd);
/// Shapes    the parts' shapes are equal but for `axis`, along which they are joined.
Tensor concat(const std::vector<Tensor>& parts, int axis);
/// Axis k of the result is axis order[k] of x; without an order, all axes reversed.
Tensor transpose(Tensor x, std::vector<int> order = {});
/// The same elements with another shape. One dimension may be kOpen: it takes what is left.
Tensor reshape(Tensor x, const Shape& shape);

/// As the axis of a reduction: over all axes.
inline constexpr int kAllAxes = INT32_MIN;

struct ReduceOptions {
  bool keep_dims = false;  // the reduced axes stay, with one element
};

// Over one axis, which the result no longer has, or over all axes. A negative axis counts from the
// last. For x [M, N], reduce_sum(x, 1) is [M], and [M, 1] with {.keep_dims = true}.
Tensor reduce_sum(Tensor x, int axis = kAllAxes, const ReduceOptions& options = {});
Tensor reduce_mean(Tensor x, int axis = kAllAxes, const ReduceOptions& options = {});
/// Where several elements share the maximum, they share its gradient equally.
Tensor reduce_max(Tensor x, int axis = kAllAxes, const ReduceOptions& options = {});

/// The mean over all elements of (a - b)^2. Nothing is broadcast.
/// Shapes    a and b have the same shape -> a scalar.
Tensor mean_squared_error(Tensor a, Tensor b);

/// Rows of a table by their ids; an id outside [0, V) gives zeros. The table's gradient is sparse.
/// Shapes    table [V, E], ids [...] -> [..., E]
Tensor embedding(Tensor table, Tensor ids);
/// 1 at each id, else 0; an id outside [0, classes) gives zeros. No gradient.
/// Shapes    ids [...] -> [..., classes]
Tensor one_hot(Tensor ids, std::int64_t classes);
/// Zeroes each element with probability `rate` in [0, 1) and divides the rest by 1 - rate. The mask
/// depends only on (seed, node name, step, index).
Tensor dropout(Tensor x, double rate, std::string_view name = "dropout");

struct SamplingOptions {
  double temperature = 1;  // divides the logarithms; 0: always the most probable id
  std::int64_t top_k = 0;  // only the k most probable ids; 0: all
  double top_p = 1;        // only the most probable ids that together reach this
  std::uint64_t seed = 0;  // not the session's

  /// Errors    std::invalid_argument for a negative or non-finite temperature, a negative top_k, or
  ///           top_p outside (0, 1].
  void check() const;
};

/// Draws an id from each distribution. Temperature comes first, then top_k, then top_p. The draw of
/// row n depends only on (seed, step, n) and the row, so row 0 draws what a single distribution
/// would. It is -1 if a log probability is NaN or the greatest is not finite. No gradient.
/// Shapes    log_prob [N, V] -> [N] int32, or one distribution [V] -> [1]; normalised or not, -inf
///           for an id that is excluded
/// Source    of top_p: Holtzman et al. 2020.
Tensor sample(Tensor log_prob, const SamplingOptions& options = {},
              std::string_view name = "sample");

/// x itself, through which no gradient flows.
Tensor stop_gradient(Tensor x);

// Writes to variables. A run does them last, after everything else in it has read the old values.
// The result has no elements: fetch it to make the write happen. No gradient.

/// variable = value
Tensor assign(Tensor variable, Tensor value);
/// The same, with 0 for each element that is not finite.
Tensor assign_finite(Tensor variable, Tensor value);
/// variable += value
Tensor assign_add(Tensor variable, Tensor value);
/// Fetching it fetches all of `parts`.
Tensor group(const std::vector<Tensor>& parts);

struct SoftmaxCrossEntropyOptions {
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
/// Shapes    h [M, H], weight [V, H], bias [V], targets [M] int32, row_weights [M] or empty (ones)
SoftmaxCrossEntropyResult softmax_cross_entropy(Tensor h, Tensor weight, Tensor bias,
                                                Tensor targets, Tensor row_weights = {},
                                                const SoftmaxCrossEntropyOptions& options = {});

}  // namespace unroll
