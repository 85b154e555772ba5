/// Kernels that fill, add up along an axis, and add up what overlaps.
#pragma once

#include <cstdint>

#include "unroll/tensor.h"

namespace unroll {

/// Every element is `value`, which the element type holds.
struct Fill {
  View out;  // any element type but kByte
  double value;
};

/// y[o, k, i] = x[o, 0, i] + ... + x[o, k, i], added in float64. Exclusive: without the last term.
/// Reverse: from the end of the axis.
struct CumulativeSum {
  View x;  // [outer, n, inner]
  View y;  // [outer, n, inner]
  bool exclusive, reverse;
};

/// Adds windows that overlap: each element of x is the sum of those of its places in windows, in
/// ascending order of (kh, kw), that are taken. Place (kh, kw) of window (oh, ow) is the element
/// (oh stride + kh dilation, ow stride + kw dilation) of x.
struct Fold {
  View windows;          // one element per (n, c, oh, ow, kh, kw), in any order of axes
  Shape window_strides;  // of n, c, oh, ow, kh, kw in `windows`, in elements
  Shape extent;          // [N, C, OH, OW, KH, KW]
  std::int64_t stride, dilation;
  View x;  // [N, C, H, W] out
};

class ArrayKernels {
 public:
  virtual ~ArrayKernels() = default;
  virtual void fill(const Fill& args) = 0;
  virtual void cumulative_sum(const CumulativeSum& args) = 0;
  virtual void fold(const Fold& args) = 0;
};

}  // namespace unroll
