/// Kernels on dense tensors: elements, sums, layout, products and softmax.
#pragma once

#include <cstdint>

#include "unroll/tensor.h"

namespace unroll {

enum class ElementwiseKind : std::uint8_t {
  kCopy,              // a
  kAffine,            // alpha a + beta
  kAdd,               // a + b
  kSubtract,          // a - b
  kMultiply,          // a b
  kDivide,            // a / b
  kTanh,              // tanh a
  kLogistic,          // 1 / (1 + e^-a)
  kRelu,              // max(a, 0)
  kExp,               // e^a
  kLog,               // ln a
  kEqual,             // 1 where a == b, else 0
  kFinite,            // a where it is finite, else 0
  kTanhGradient,      // b (1 - a^2),  a = tanh(x),  b = dy
  kLogisticGradient,  // b a (1 - a),  a = logistic(x)
  kReluGradient,      // b where a > 0, else 0
};

/// Shapes    a and b broadcast to out's shape as in NumPy; b is empty for one-argument kinds.
/// Aliasing  out may be a or b where their shapes are equal.
struct Elementwise {
  ElementwiseKind kind;
  View a, b;
  View out;
  float alpha = 1, beta = 0;  // kAffine
};

enum class ReduceKind : std::uint8_t { kSum, kMax };

/// Shapes    out has in's rank, with 1 for every reduced dimension.
struct Reduce {
  ReduceKind kind;
  View in;
  View out;
  float scale = 1;  // multiplies a sum
};

/// Copies out[j] = in[i] over a grid of `extent`. Each side walks the grid with strides of its own,
/// which makes slices, concatenation, transposition and their gradients. Both have one element
/// type, any.
struct CopyRegion {
  View in, out;
  Shape extent;
  Shape in_stride, out_stride;  // in elements, one per axis of extent
  std::int64_t in_offset = 0, out_offset = 0;
};

/// c [M, N] = op(a) op(b), where op transposes or does nothing; op(a) [M, K], op(b) [K, N].
struct Matmul {
  View a, b;
  bool transpose_a = false, transpose_b = false;
  View c;

  std::int64_t m() const { return c.shape[0]; }
  std::int64_t n() const { return c.shape[1]; }
  std::int64_t k() const { return a.shape[transpose_a ? 0 : 1]; }
};

/// Along the last dimension. Softmax: e^x / sum e^x; log: x - ln sum e^x. Both subtract the maximum
/// first.
struct Softmax {
  View x;
  View y;
  bool log = false;
};

/// dx = y (dy - sum(dy y)); for log softmax dx = dy - e^y sum(dy).
struct SoftmaxGradient {
  View y, dy;
  View dx;
  bool log = false;
};

class TensorKernels {
 public:
  virtual ~TensorKernels() = default;
  virtual void elementwise(const Elementwise& args) = 0;
  virtual void reduce(const Reduce& args) = 0;
  virtual void copy_region(const CopyRegion& args) = 0;
  virtual void matmul(const Matmul& args) = 0;
  virtual void softmax(const Softmax& args) = 0;
  virtual void softmax_gradient(const SoftmaxGradient& args) = 0;
};

}  // namespace unroll
