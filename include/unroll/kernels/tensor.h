/// Kernels on dense tensors: elements, sums, layout, products and softmax.
#pragma once

#include <cstdint>

#include "unroll/host_device.h"
#include "unroll/tensor.h"

namespace unroll {

/// What each computes: elementwise.h.
enum class ElementwiseKind : std::uint8_t {
  kCopy,                // a
  kAffine,              // alpha a + beta
  kAdd,                 // a + b
  kSubtract,            // a - b
  kMultiply,            // a b
  kDivide,              // a / b
  kAbs,                 // |a|
  kMaximum,             // the greater of a and b; NaN if either is
  kMinimum,             // the lesser; NaN if either is
  kTanh,                // tanh a
  kLogistic,            // 1 / (1 + e^-a)
  kRelu,                // max(a, 0)
  kLeakyRelu,           // a where a >= 0, else alpha a
  kGelu,                // a P(X < a) for a normal X
  kSoftplus,            // ln(1 + e^a)
  kExp,                 // e^a
  kLog,                 // ln a
  kSqrt,                // the square root of a
  kSin,                 // sin a
  kCos,                 // cos a
  kPower,               // a^b
  kClip,                // a, but at least alpha and at most beta
  kFinite,              // a where it is finite, else 0
  kAbsGradient,         // b sign(a),  b = dy
  kMaximumShare,        // 1 where a > b, 1/2 where they are equal, 0 where a < b
  kTanhGradient,        // b (1 - a^2),  a = tanh(x),  b = dy
  kLogisticGradient,    // b a (1 - a),  a = logistic(x)
  kReluGradient,        // b where a > 0, else 0
  kLeakyReluGradient,   // b where a > 0, else alpha b
  kGeluGradient,        // b d gelu(a) / da
  kClipGradient,        // b where alpha <= a <= beta, else 0
  kPowerBaseSlope,      // d a^b / da
  kPowerExponentSlope,  // d a^b / db
  // These give bool.
  kEqual,
  kNotEqual,
  kGreater,
  kGreaterEqual,
  kLess,
  kLessEqual,
  kAnd,
  kOr,
  kXor,
  kNot,  // the last
};
inline constexpr int kElementwiseKinds = int(ElementwiseKind::kNot) + 1;

UNROLL_HD constexpr bool gives_bool(ElementwiseKind kind) {
  return kind >= ElementwiseKind::kEqual;
}

/// Whether there is a kernel for operands of this type.
constexpr bool computes(ElementwiseKind kind, DType dtype) {
  using Kind = ElementwiseKind;
  const bool real = dtype == DType::kFloat32 || dtype == DType::kFloat64;
  const bool number = real || dtype == DType::kInt32 || dtype == DType::kInt64;
  switch (kind) {
    case Kind::kCopy:
      return number || dtype == DType::kBool;
    case Kind::kAffine:
    case Kind::kAdd:
    case Kind::kSubtract:
    case Kind::kMultiply:
    case Kind::kAbs:
    case Kind::kMaximum:
    case Kind::kMinimum:
    case Kind::kClip:
    case Kind::kEqual:
    case Kind::kNotEqual:
    case Kind::kGreater:
    case Kind::kGreaterEqual:
    case Kind::kLess:
    case Kind::kLessEqual:
      return number;
    case Kind::kDivide:
    case Kind::kAbsGradient:
    case Kind::kMaximumShare:
    case Kind::kClipGradient:
      return real;
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kXor:
    case Kind::kNot:
      return dtype == DType::kBool;
    default:
      return dtype == DType::kFloat32;
  }
}

/// Shapes    a and b broadcast to out's shape as in NumPy; b is empty for one-argument kinds.
/// Units     a and b have one element type, which is also out's unless the kind gives bool.
///           Integers wrap.
/// Aliasing  out may be a or b where their shapes and element types are equal.
struct Elementwise {
  ElementwiseKind kind;
  View a, b;
  View out;
  double alpha = 1, beta = 0;  // of the kinds that mention them; whole for integers
};

/// out = in as out's element type (math/convert.h).
/// Shapes    equal.
struct Cast {
  View in;
  View out;
};

/// out = condition ? a : b.
/// Shapes    condition (bool), a and b broadcast to out's shape.
/// Aliasing  none.
struct Where {
  View condition, a, b;
  View out;
};

/// kArgMax and kArgMin give the place of the first greatest or least element, counted in row-major
/// order over the reduced dimensions; a NaN counts as greater and as less than all others.
enum class ReduceKind : std::uint8_t { kSum, kMax, kMin, kArgMax, kArgMin };

constexpr bool gives_place(ReduceKind kind) {
  return kind >= ReduceKind::kArgMax;
}

/// Shapes    out has in's rank, with 1 for every reduced dimension.
/// Units     any number, for kMax and kMin also bool; out is of in's element type, or int64 for a
///           place. Of no elements: 0, the least or the greatest number; there is no place.
struct Reduce {
  ReduceKind kind;
  View in;
  View out;
  double scale = 1;  // multiplies a sum of float32 or float64
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

/// c = op(a) op(b), where op transposes or does nothing. One product, or one for each element of
/// the dimensions before the last two, to which those of a and b broadcast.
/// Shapes    op(a) [..., M, K], op(b) [..., K, N], c [..., M, N]
struct Matmul {
  View a, b;
  bool transpose_a = false, transpose_b = false;
  View c;

  std::int64_t m() const { return c.shape[c.shape.rank() - 2]; }
  std::int64_t n() const { return c.shape.last(); }
  std::int64_t k() const { return a.shape[a.shape.rank() - (transpose_a ? 2 : 1)]; }
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
  virtual void cast(const Cast& args) = 0;
  virtual void where(const Where& args) = 0;
  virtual void reduce(const Reduce& args) = 0;
  virtual void copy_region(const CopyRegion& args) = 0;
  virtual void matmul(const Matmul& args) = 0;
  virtual void softmax(const Softmax& args) = 0;
  virtual void softmax_gradient(const SoftmaxGradient& args) = 0;
};

}  // namespace unroll
