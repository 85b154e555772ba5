/// Sums, means, extremes and their places over axes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "unroll/graph.h"

namespace unroll {

/// As the axis of a reduction: over all axes.
inline constexpr int kAllAxes = INT32_MIN;

/// The axes that a reduction runs over: kAllAxes, one, or a list. A negative one counts from the
/// last.
class Axes {
 public:
  Axes(int axis) : list_{axis} {}
  Axes(std::initializer_list<int> axes) : list_(axes) {}
  Axes(std::vector<int> axes) : list_(std::move(axes)) {}

  bool operator==(const Axes&) const = default;
  const std::vector<int>& list() const { return list_; }

 private:
  std::vector<int> list_;
};

struct ReduceOptions {
  bool keep_dims = false;  // the reduced axes stay, with one element
};

// The result no longer has the reduced axes. For x [M, N], reduce_sum(x, 1) is [M], and [M, 1] with
// {.keep_dims = true}; reduce_sum(x, {0, 1}) is a scalar.
// Errors    std::invalid_argument for an axis that x lacks or that is named twice, for an empty
//           list, and for an element type other than those said.

/// float32, float64, int32 and int64. Integers wrap.
Tensor reduce_sum(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});
/// float32 and float64.
Tensor reduce_mean(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});

// float32, float64, int32 and int64. NaN if there is one. Where several elements share the extreme,
// they share its gradient equally.
Tensor reduce_max(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});
Tensor reduce_min(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});

// bool -> bool: whether any is true (of none: no), whether all are (of none: yes).
Tensor reduce_any(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});
Tensor reduce_all(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});

/// The place of the greatest element: the first of equals, or the first NaN. Over several axes it
/// counts in row-major order. No gradient.
/// Shapes    float32, float64, int32 or int64 -> int64, for example [M, N] over axis 1 -> [M]
/// Errors    std::invalid_argument also if there is no element to choose from.
Tensor argmax(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});
/// The same of the least element.
Tensor argmin(Tensor x, const Axes& axes = kAllAxes, const ReduceOptions& options = {});

}  // namespace unroll
