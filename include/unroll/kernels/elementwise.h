/// What each elementwise kind computes, once for all devices and element types.
#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "unroll/cells/activations.h"
#include "unroll/host_device.h"
#include "unroll/kernels/tensor.h"
#include "unroll/math/elementwise.h"

namespace unroll {

/// f(a, b), which wraps where a signed integer would overflow.
template <typename T, typename F>
UNROLL_HD T wrapping(const T& a, const T& b, const F& f) {
  if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;
    return T(f(Unsigned(a), Unsigned(b)));
  } else {
    return f(a, b);
  }
}

/// A kind that gives numbers. T is an element type, or a vector of float32.
template <ElementwiseKind kind, typename T>
UNROLL_HD T element(const T& a, const T& b, const T& alpha, const T& beta) {
  using Kind = ElementwiseKind;
  using cells::Activation;
  const auto plus = [](const auto& x, const auto& y) { return x + y; };
  const auto minus = [](const auto& x, const auto& y) { return x - y; };
  const auto times = [](const auto& x, const auto& y) { return x * y; };
  if constexpr (kind == Kind::kCopy) return a;
  if constexpr (kind == Kind::kAffine) return wrapping(wrapping(alpha, a, times), beta, plus);
  if constexpr (kind == Kind::kAdd) return wrapping(a, b, plus);
  if constexpr (kind == Kind::kSubtract) return wrapping(a, b, minus);
  if constexpr (kind == Kind::kMultiply) return wrapping(a, b, times);
  if constexpr (kind == Kind::kDivide) return a / b;
  if constexpr (kind == Kind::kAbs) {
    using std::abs;
    if constexpr (std::is_integral_v<T>)
      return a < 0 ? wrapping(T(0), a, minus) : a;
    else
      return abs(a);
  }
  if constexpr (kind == Kind::kMaximum) return math::maximum(a, b);
  if constexpr (kind == Kind::kMinimum) return math::minimum(a, b);
  if constexpr (kind == Kind::kAbsGradient) return b * math::sign(a);
  if constexpr (kind == Kind::kMaximumShare) return math::maximum_share(a, b);
  if constexpr (kind == Kind::kTanh) return cells::activate<Activation::kTanh>(a);
  if constexpr (kind == Kind::kLogistic) return cells::logistic(a);
  if constexpr (kind == Kind::kRelu) return cells::relu(a);
  if constexpr (kind == Kind::kLeakyRelu) return math::leaky_relu(a, alpha);
  if constexpr (kind == Kind::kGelu) return math::gelu(a);
  if constexpr (kind == Kind::kSoftplus) return math::softplus(a);
  if constexpr (kind == Kind::kClip) return math::clip(a, alpha, beta);
  if constexpr (kind == Kind::kExp) {
    using std::exp;
    return exp(a);
  }
  if constexpr (kind == Kind::kLog) {
    using std::log;
    return log(a);
  }
  if constexpr (kind == Kind::kSqrt) {
    using std::sqrt;
    return sqrt(a);
  }
  if constexpr (kind == Kind::kSin) {
    using std::sin;
    return sin(a);
  }
  if constexpr (kind == Kind::kCos) {
    using std::cos;
    return cos(a);
  }
  if constexpr (kind == Kind::kPower) {
    using std::pow;
    return pow(a, b);
  }
  if constexpr (kind == Kind::kFinite) {  // infinity - infinity is NaN
    using math::select;
    return select(a - a == T(0), a, T(0));
  }
  if constexpr (kind == Kind::kTanhGradient) return b * cells::derivative<Activation::kTanh>(a);
  if constexpr (kind == Kind::kLogisticGradient)
    return b * cells::derivative<Activation::kLogistic>(a);
  if constexpr (kind == Kind::kReluGradient) return b * cells::derivative<Activation::kRelu>(a);
  if constexpr (kind == Kind::kLeakyReluGradient) {
    using math::select;
    return b * select(T(0) < a, T(1), alpha);
  }
  if constexpr (kind == Kind::kGeluGradient) return b * math::gelu_slope(a);
  if constexpr (kind == Kind::kClipGradient) {
    using math::select;
    return select((alpha <= a) & (a <= beta), b, T(0));
  }
  if constexpr (kind == Kind::kPowerBaseSlope) return math::power_base_slope(a, b);
  if constexpr (kind == Kind::kPowerExponentSlope) return math::power_exponent_slope(a, b);
}

/// A kind that gives bool.
template <ElementwiseKind kind, typename T>
UNROLL_HD bool truth(T a, T b) {
  using Kind = ElementwiseKind;
  if constexpr (kind == Kind::kEqual) return a == b;
  if constexpr (kind == Kind::kNotEqual || kind == Kind::kXor) return a != b;
  if constexpr (kind == Kind::kGreater) return a > b;
  if constexpr (kind == Kind::kGreaterEqual) return a >= b;
  if constexpr (kind == Kind::kLess) return a < b;
  if constexpr (kind == Kind::kLessEqual) return a <= b;
  if constexpr (kind == Kind::kAnd) return a && b;
  if constexpr (kind == Kind::kOr) return a || b;
  if constexpr (kind == Kind::kNot) return !a;
}

UNROLL_HD constexpr bool has_two_arguments(ElementwiseKind kind) {
  using Kind = ElementwiseKind;
  switch (kind) {
    case Kind::kCopy:
    case Kind::kAffine:
    case Kind::kAbs:
    case Kind::kTanh:
    case Kind::kLogistic:
    case Kind::kRelu:
    case Kind::kLeakyRelu:
    case Kind::kGelu:
    case Kind::kSoftplus:
    case Kind::kExp:
    case Kind::kLog:
    case Kind::kSqrt:
    case Kind::kSin:
    case Kind::kCos:
    case Kind::kClip:
    case Kind::kFinite:
    case Kind::kNot:
      return false;
    default:
      return true;
  }
}

/// Calls f with `kind` as a compile-time constant if operands can be of type T, else does nothing.
template <typename T, typename F>
void with_kind(ElementwiseKind kind, const F& f) {
  const auto one = [&]<std::size_t k>(std::integral_constant<std::size_t, k>) {
    constexpr auto kKind = ElementwiseKind(k);
    if constexpr (computes(kKind, dtype_of<T>()))
      if (kind == kKind) f(std::integral_constant<ElementwiseKind, kKind>());
  };
  [&]<std::size_t... k>(std::index_sequence<k...>) {
    (one(std::integral_constant<std::size_t, k>()), ...);
  }
  (std::make_index_sequence<std::size_t(kElementwiseKinds)>());
}

/// Calls f with a value of the C++ type of `dtype`, which is not kByte.
template <typename F>
void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(float());
    case DType::kFloat64:
      return f(double());
    case DType::kInt32:
      return f(std::int32_t());
    case DType::kInt64:
      return f(std::int64_t());
    case DType::kBool:
      return f(bool());
    case DType::kByte:
      break;
  }
  throw std::invalid_argument("an operand of " + to_string(dtype) + ", expected numbers or bool");
}

}  // namespace unroll
