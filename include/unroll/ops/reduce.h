/// Sums, means and extremes over axes.
#pragma once

#include <cstdint>

#include "unroll/graph.h"

namespace unroll {

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

}  // namespace unroll
