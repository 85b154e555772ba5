/// The elementary operations. Every one checks its shapes when it is called
/// (std::invalid_argument: what, got, expected) and has a gradient unless it says otherwise.
/// Shapes broadcast as in NumPy. Tensors are float32, ids int32.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "unroll/graph.h"

namespace unroll {

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
Tensor relu(Tensor x);
Tensor exp(Tensor x);
Tensor log(Tensor x);
/// 1 where a == b, else 0. Its gradient is zero.
Tensor equal(Tensor a, Tensor b);

/// a [..., K] b [K, N] -> [..., N]. With transpose_b, b is [N, K]; with transpose_a, a is [K, M]
/// and the result [M, N].
Tensor matmul(Tensor a, Tensor b, bool transpose_a = false, bool transpose_b = false);

/// Over the last dimension.
Tensor softmax(Tensor x);
Tensor log_softmax(Tensor x);

/// Elements [begin, end) of one axis. A negative axis counts from the last; `end` may be kEnd.
inline constexpr std::int64_t kEnd = INT64_MAX;
Tensor slice(Tensor x, int axis, std::int64_t begin, std::int64_t end = kEnd);
Tensor concat(std::span<const Tensor> parts, int axis);
/// Axis k of the result is axis order[k] of x; without an order, all axes reversed.
Tensor transpose(Tensor x, std::vector<int> order = {});
/// At most one dimension may be kOpen: it takes what is left.
Tensor reshape(Tensor x, const Shape& shape);

inline constexpr int kAllAxes = INT32_MIN;
Tensor reduce_sum(Tensor x, int axis = kAllAxes, bool keep_dims = false);
Tensor reduce_mean(Tensor x, int axis = kAllAxes, bool keep_dims = false);
/// Where several elements share the maximum, they share its gradient equally.
Tensor reduce_max(Tensor x, int axis = kAllAxes, bool keep_dims = false);

/// table [V, E], ids [...] -> [..., E]; an id outside [0, V) gives zeros. The gradient of the table
/// is sparse.
Tensor embedding(Tensor table, Tensor ids);
/// ids [...] -> [..., classes] float32. No gradient.
Tensor one_hot(Tensor ids, std::int64_t classes);
/// Zeroes each element with probability `rate` in [0, 1) and divides the rest by 1 - rate. The mask
/// depends on (seed, node name, step, index) alone.
Tensor dropout(Tensor x, double rate, std::string_view name = "dropout");

struct SamplingOptions {
  double temperature = 1;  // divides the logarithms; 0: always the most probable id
  std::int64_t top_k = 0;  // only the k most probable ids; 0: all
  double top_p = 1;        // only the most probable ids that together reach this
  std::uint64_t seed = 0;  // not the session's

  /// Throws std::invalid_argument for a negative or non-finite temperature, a negative top_k, or
  /// top_p outside (0, 1].
  void check() const;
};

/// log_prob [V], normalised or not, -inf for what is excluded -> [1] int32, an id drawn from it.
/// Temperature comes first, then top_k, then top_p. The draw depends on (seed, step) and the
/// distribution alone. -1 if a log probability is NaN, or the greatest not finite. No gradient.
/// Source of top_p: Holtzman et al. 2020.
Tensor sample(Tensor log_prob, const SamplingOptions& options = {},
              std::string_view name = "sample");

/// x's value; no gradient flows through.
Tensor stop_gradient(Tensor x);

/// Writes `value` to a variable after everything else of the run has read it.
Tensor assign(Tensor variable, Tensor value);
/// Writes `value`, with 0 for what is not finite in it, likewise.
Tensor assign_finite(Tensor variable, Tensor value);
/// Adds `value` to a variable, likewise.
Tensor assign_add(Tensor variable, Tensor value);
/// A node that makes all of `parts` run.
Tensor group(std::span<const Tensor> parts);

struct SoftmaxCrossEntropyOptions {
  std::int64_t chunk_rows = 0;   // logits in memory at a time: at most chunk_rows x V; 0: as many
                                 // rows as suit the device
  std::int64_t ignored_id = -1;  // rows with this target count for nothing
  bool mean = false;             // divide by the sum of the rows' weights
  double scale = 1;              // otherwise multiply the sum by this
};

struct SoftmaxCrossEntropyResult {
  Tensor loss;      // [1]
  Tensor log_prob;  // [M] ln p[target]; 0 where ignored. No gradient
  Tensor hit;       // [M] 1 where the target is the best class. No gradient
};

/// Decoder, softmax and cross-entropy in one node, which never holds more than a chunk of the
/// logits: h [M, H], weight [V, H], bias [V], targets [M] int32, row_weights [M] or none.
SoftmaxCrossEntropyResult softmax_cross_entropy(Tensor h, Tensor weight, Tensor bias,
                                                Tensor targets, Tensor row_weights = {},
                                                const SoftmaxCrossEntropyOptions& options = {});

}  // namespace unroll
