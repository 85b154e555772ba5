/// Kernels that fill, and that add up along an axis.
#pragma once

#include <cstdint>

#include "unroll/tensor.h"

namespace unroll {

/// Every element is `value`, which the element type holds.
struct Fill {
  View out;  // any element type but kByte
  double value;
};

/// y[o, k, i] = x[o, 0, i] + ... + x[o, k, i], in this order, in float64. Exclusive: without the
/// last term. Reverse: from the end of the axis.
struct CumulativeSum {
  View x;  // [outer, n, inner]
  View y;  // [outer, n, inner]
  bool exclusive, reverse;
};

class ArrayKernels {
 public:
  virtual ~ArrayKernels() = default;
  virtual void fill(const Fill& args) = 0;
  virtual void cumulative_sum(const CumulativeSum& args) = 0;
};

}  // namespace unroll
