/// Operations on elements, with NumPy's broadcasting: shape rule, forward and gradient.
#include "host/ops/elementwise.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "host/graph/element_range.h"
#include "host/graph/operation.h"
#include "host/ops/reduce.h"
#include "host/ops/softmax.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

using Kind = ElementwiseKind;

std::int64_t broadcast_dim(std::int64_t a, std::int64_t b) {
  if (a == b || b == 1) return a;
  if (a == 1) return b;
  return agreed_dim(a, b, "dimensions");
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kCopy:
      return "copy";
    case Kind::kAffine:
      return "affine";
    case Kind::kAdd:
      return "add";
    case Kind::kSubtract:
      return "sub";
    case Kind::kMultiply:
      return "mul";
    case Kind::kDivide:
      return "div";
    case Kind::kAbs:
      return "abs";
    case Kind::kMaximum:
      return "maximum";
    case Kind::kMinimum:
      return "minimum";
    case Kind::kTanh:
      return "tanh";
    case Kind::kLogistic:
      return "logistic";
    case Kind::kRelu:
      return "relu";
    case Kind::kLeakyRelu:
      return "leaky_relu";
    case Kind::kGelu:
      return "gelu";
    case Kind::kSoftplus:
      return "softplus";
    case Kind::kExp:
      return "exp";
    case Kind::kLog:
      return "log";
    case Kind::kSqrt:
      return "sqrt";
    case Kind::kSin:
      return "sin";
    case Kind::kCos:
      return "cos";
    case Kind::kPower:
      return "pow";
    case Kind::kClip:
      return "clip";
    case Kind::kFinite:
      return "finite";
    case Kind::kAbsGradient:
      return "abs_gradient";
    case Kind::kMaximumShare:
      return "maximum_share";
    case Kind::kTanhGradient:
      return "tanh_gradient";
    case Kind::kLogisticGradient:
      return "logistic_gradient";
    case Kind::kReluGradient:
      return "relu_gradient";
    case Kind::kLeakyReluGradient:
      return "leaky_relu_gradient";
    case Kind::kGeluGradient:
      return "gelu_gradient";
    case Kind::kClipGradient:
      return "clip_gradient";
    case Kind::kPowerBaseSlope:
      return "pow_base_slope";
    case Kind::kPowerExponentSlope:
      return "pow_exponent_slope";
    case Kind::kEqual:
      return "equal";
    case Kind::kNotEqual:
      return "not_equal";
    case Kind::kGreater:
      return "greater";
    case Kind::kGreaterEqual:
      return "greater_equal";
    case Kind::kLess:
      return "less";
    case Kind::kLessEqual:
      return "less_equal";
    case Kind::kAnd:
      return "logical_and";
    case Kind::kOr:
      return "logical_or";
    case Kind::kXor:
      return "logical_xor";
    case Kind::kNot:
      return "logical_not";
  }
  return "?";
}

/// "float32 or float64"
std::string element_types(Kind kind) {
  std::vector<std::string> all;
  for (const DType dtype :
       {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64, DType::kBool})
    if (computes(kind, dtype)) all.push_back(to_string(dtype));
  std::string text = all.front();
  for (std::size_t k = 1; k < all.size(); ++k)
    text += (k + 1 < all.size() ? ", " : " or ") + all[k];
  return text;
}

/// A number beside tensors of an integer type.
void require_whole(double value, DType dtype) {
  if (!holds(dtype, value))
    shape_error("the number " + std::to_string(value) + " beside a tensor of " + to_string(dtype),
                "a whole number of at most " + std::to_string(std::int64_t(greatest_whole(dtype))));
}

class ElementwiseOperation final : public Operation {
 public:
  explicit ElementwiseOperation(Kind kind, double alpha = 1, double beta = 0)
      : kind_(kind), alpha_(alpha), beta_(beta) {}

  std::string kind() const override { return name_of(kind_); }

  void attributes(const AttributeVisitor& visit) const override {
    switch (kind_) {
      case Kind::kAffine:
        visit("alpha", alpha_);
        visit("beta", beta_);
        break;
      case Kind::kLeakyRelu:
      case Kind::kLeakyReluGradient:
        visit("slope", alpha_);
        break;
      case Kind::kClip:
      case Kind::kClipGradient:
        visit("low", alpha_);
        visit("high", beta_);
        break;
      default:
        break;
    }
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const DType dtype = inputs[0].dtype;
    if (!computes(kind_, dtype))
      shape_error("an input of " + to_string(dtype), element_types(kind_));
    if (dtype == DType::kInt32 || dtype == DType::kInt64)
      for (const double value : {alpha_, beta_}) require_whole(value, dtype);
    Shape shape = inputs[0].shape;
    for (const TensorType& input : inputs) {
      require_dtype(input, dtype, "an input");
      shape = broadcast_shape(shape, input.shape);
    }
    return {{shape, gives_bool(kind_) ? DType::kBool : dtype}};
  }

  void run(const RunContext& c) const override {
    c.backend.elementwise({kind_, c.inputs[0], c.inputs.size() > 1 ? c.inputs[1] : View(),
                           c.outputs[0], alpha_, beta_});
  }

  int in_place(int) const override {
    return gives_bool(kind_) && !computes(kind_, DType::kBool) ? -1 : 0;
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dys) const override;

 private:
  Kind kind_;
  double alpha_, beta_;
};

Tensor unary(Kind kind, Tensor x, double alpha = 1, double beta = 0) {
  const auto rounded = [&](double value) {
    return x && x.dtype() == DType::kFloat32 ? double(float(value)) : value;
  };
  return add_node(std::make_shared<ElementwiseOperation>(kind, rounded(alpha), rounded(beta)), {x});
}

Tensor binary(Kind kind, Tensor a, Tensor b) {
  return add_node(std::make_shared<ElementwiseOperation>(kind), {a, b});
}

std::vector<Gradient> ElementwiseOperation::gradient(const Node& node,
                                                     std::span<const Tensor> dys) const {
  const Tensor dy = dys[0], y(&node, 0), a = node.inputs[0];
  const Tensor b = node.inputs.size() > 1 ? node.inputs[1] : Tensor();
  const auto to_a = [&](Tensor g) { return Gradient(sum_to(g, a)); };
  const auto to_b = [&](Tensor g) { return Gradient(sum_to(g, b)); };
  /// A kernel of its own, which is given the numbers of this operation.
  const auto kernel = [&](Kind kind, Tensor value) {
    return add_node(std::make_shared<ElementwiseOperation>(kind, alpha_, beta_), {value, dy});
  };
  switch (kind_) {
    case Kind::kCopy:
      return {to_a(dy)};
    case Kind::kAffine:
      return {to_a(alpha_ * dy)};
    case Kind::kAdd:
      return {to_a(dy), to_b(dy)};
    case Kind::kSubtract:
      return {to_a(dy), to_b(-dy)};
    case Kind::kMultiply:
      return {to_a(dy * b), to_b(dy * a)};
    case Kind::kDivide:
      return {to_a(dy / b), to_b(-(dy * y / b))};
    case Kind::kAbs:
      return {to_a(kernel(Kind::kAbsGradient, a))};
    case Kind::kMaximum:
      return {to_a(dy * binary(Kind::kMaximumShare, a, b)),
              to_b(dy * binary(Kind::kMaximumShare, b, a))};
    case Kind::kMinimum:
      return {to_a(dy * binary(Kind::kMaximumShare, b, a)),
              to_b(dy * binary(Kind::kMaximumShare, a, b))};
    case Kind::kTanh:
      return {to_a(kernel(Kind::kTanhGradient, y))};
    case Kind::kLogistic:
      return {to_a(kernel(Kind::kLogisticGradient, y))};
    case Kind::kRelu:
      return {to_a(kernel(Kind::kReluGradient, y))};
    case Kind::kLeakyRelu:
      return {to_a(kernel(Kind::kLeakyReluGradient, a))};
    case Kind::kGelu:
      return {to_a(kernel(Kind::kGeluGradient, a))};
    case Kind::kSoftplus:
      return {to_a(dy * logistic(a))};
    case Kind::kExp:
      return {to_a(dy * y)};
    case Kind::kLog:
      return {to_a(dy / a)};
    case Kind::kSqrt:
      return {to_a(0.5 * dy / y)};
    case Kind::kSin:
      return {to_a(dy * cos(a))};
    case Kind::kCos:
      return {to_a(-(dy * sin(a)))};
    case Kind::kPower:
      return {to_a(dy * binary(Kind::kPowerBaseSlope, a, b)),
              to_b(dy * binary(Kind::kPowerExponentSlope, a, b))};
    case Kind::kClip:
      return {to_a(kernel(Kind::kClipGradient, a))};
    case Kind::kFinite:
    case Kind::kNot:
      return {{}};
    case Kind::kMaximumShare:
    case Kind::kEqual:
    case Kind::kNotEqual:
    case Kind::kGreater:
    case Kind::kGreaterEqual:
    case Kind::kLess:
    case Kind::kLessEqual:
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kXor:
      return {{}, {}};
    // What is computed in a backward pass; second derivatives are not offered.
    case Kind::kAbsGradient:
    case Kind::kTanhGradient:
    case Kind::kLogisticGradient:
    case Kind::kReluGradient:
    case Kind::kLeakyReluGradient:
    case Kind::kGeluGradient:
    case Kind::kClipGradient:
    case Kind::kPowerBaseSlope:
    case Kind::kPowerExponentSlope:
      break;
  }
  throw std::invalid_argument(kind() + ": has no gradient of its own");
}

class CastOperation final : public Operation {
 public:
  explicit CastOperation(DType dtype) : dtype_(dtype) {}
  std::string kind() const override { return "cast"; }
  void attributes(const AttributeVisitor& visit) const override {
    visit("dtype", to_string(dtype_));
  }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    for (const DType dtype : {inputs[0].dtype, dtype_})
      if (!computes(Kind::kCopy, dtype)) shape_error(to_string(dtype), element_types(Kind::kCopy));
    return {{inputs[0].shape, dtype_}};
  }
  void run(const RunContext& c) const override { c.backend.cast({c.inputs[0], c.outputs[0]}); }
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    if (!computes(Kind::kDivide, node.inputs[0].dtype())) return {{}};  // not a real number
    return {cast(dy[0], node.inputs[0].dtype())};
  }

 private:
  DType dtype_;
};

class WhereOperation final : public Operation {
 public:
  std::string kind() const override { return "where"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kBool, "the condition");
    require_dtype(inputs[2], inputs[1].dtype, "the other choice");
    const Shape choices = broadcast_shape(inputs[1].shape, inputs[2].shape);
    return {{broadcast_shape(inputs[0].shape, choices), inputs[1].dtype}};
  }
  void run(const RunContext& c) const override {
    c.backend.where({c.inputs[0], c.inputs[1], c.inputs[2], c.outputs[0]});
  }
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const Tensor condition = node.inputs[0], zero = node.graph->constant(0, {}, dy[0].dtype());
    return {{},
            sum_to(where(condition, dy[0], zero), node.inputs[1]),
            sum_to(where(condition, zero, dy[0]), node.inputs[2])};
  }
};

/// Its input gives only the shape.
class ZerosLikeOperation final : public Operation {
 public:
  std::string kind() const override { return "zeros_like"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[0]};
  }
  void run(const RunContext& c) const override {
    c.backend.clear(c.outputs[0].data, c.outputs[0].bytes());
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }
};

class BroadcastLikeOperation final : public Operation {
 public:
  std::string kind() const override { return "broadcast_like"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    if (!shapes_agree(broadcast_shape(inputs[0].shape, inputs[1].shape), inputs[1].shape))
      shape_error(to_string(inputs[0].shape),
                  "a shape that broadcasts to " + to_string(inputs[1].shape));
    return {{inputs[1].shape, inputs[0].dtype}};
  }
  void run(const RunContext& c) const override {
    c.backend.elementwise({Kind::kCopy, c.inputs[0], {}, c.outputs[0]});
  }
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {sum_to(dy[0], node.inputs[0]), {}};
  }
};

class StopGradientOperation final : public Operation {
 public:
  std::string kind() const override { return "stop_gradient"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[0]};
  }
  void run(const RunContext&) const override {}
  int alias(std::span<const TensorType>) const override { return 0; }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }
};

/// A scalar of a's element type.
Tensor number_beside(Tensor a, double value, const char* kind) {
  if (!a) throw std::invalid_argument(std::string(kind) + ": an input is an empty tensor");
  return a.graph().constant(value, {}, a.dtype());
}

}  // namespace

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape shape;
  for (int k = 0; k < rank; ++k) {
    const int ka = k - (rank - a.rank()), kb = k - (rank - b.rank());
    try {
      shape.append(broadcast_dim(ka < 0 ? 1 : a[ka], kb < 0 ? 1 : b[kb]));
    } catch (const std::invalid_argument&) {
      shape_error("shapes " + to_string(a) + " and " + to_string(b),
                  "shapes that broadcast to one");
    }
  }
  return shape;
}

Tensor operator+(Tensor a, Tensor b) {
  return binary(Kind::kAdd, a, b);
}
Tensor operator-(Tensor a, Tensor b) {
  return binary(Kind::kSubtract, a, b);
}
Tensor operator*(Tensor a, Tensor b) {
  return binary(Kind::kMultiply, a, b);
}
Tensor operator/(Tensor a, Tensor b) {
  return binary(Kind::kDivide, a, b);
}
Tensor operator-(Tensor a) {
  return unary(Kind::kAffine, a, -1, 0);
}
Tensor operator+(Tensor a, double b) {
  return unary(Kind::kAffine, a, 1, b);
}
Tensor operator+(double a, Tensor b) {
  return unary(Kind::kAffine, b, 1, a);
}
Tensor operator-(Tensor a, double b) {
  return unary(Kind::kAffine, a, 1, -b);
}
Tensor operator-(double a, Tensor b) {
  return unary(Kind::kAffine, b, -1, a);
}
Tensor operator*(Tensor a, double b) {
  return unary(Kind::kAffine, a, b, 0);
}
Tensor operator*(double a, Tensor b) {
  return unary(Kind::kAffine, b, a, 0);
}
Tensor operator/(Tensor a, double b) {
  if (!a || a.dtype() == DType::kFloat32) return unary(Kind::kAffine, a, 1 / b, 0);
  return a / a.graph().constant(b, {}, a.dtype());
}
Tensor operator/(double a, Tensor b) {
  if (!b) throw std::invalid_argument("div: an input is an empty tensor");
  return b.graph().constant(a, {}, b.dtype()) / b;
}

Tensor abs(Tensor x) {
  return unary(Kind::kAbs, x);
}
Tensor maximum(Tensor a, Tensor b) {
  return binary(Kind::kMaximum, a, b);
}
Tensor minimum(Tensor a, Tensor b) {
  return binary(Kind::kMinimum, a, b);
}
Tensor maximum(Tensor a, double b) {
  return maximum(a, number_beside(a, b, "maximum"));
}
Tensor minimum(Tensor a, double b) {
  return minimum(a, number_beside(a, b, "minimum"));
}
Tensor clip(Tensor x, double low, double high) {
  if (!(low <= high))
    throw std::invalid_argument("clip: got the limits " + std::to_string(low) + " and " +
                                std::to_string(high) + ", expected the lower first");
  return unary(Kind::kClip, x, low, high);
}

Tensor tanh(Tensor x) {
  return unary(Kind::kTanh, x);
}
Tensor logistic(Tensor x) {
  return unary(Kind::kLogistic, x);
}
Tensor relu(Tensor x) {
  return unary(Kind::kRelu, x);
}
Tensor leaky_relu(Tensor x, double slope) {
  return unary(Kind::kLeakyRelu, x, slope);
}
Tensor gelu(Tensor x) {
  return unary(Kind::kGelu, x);
}
Tensor softplus(Tensor x) {
  return unary(Kind::kSoftplus, x);
}
Tensor exp(Tensor x) {
  return unary(Kind::kExp, x);
}
Tensor log(Tensor x) {
  if (const Tensor z = softmax_input(x)) return log_softmax(z);
  return unary(Kind::kLog, x);
}
Tensor sqrt(Tensor x) {
  return unary(Kind::kSqrt, x);
}
Tensor sin(Tensor x) {
  return unary(Kind::kSin, x);
}
Tensor cos(Tensor x) {
  return unary(Kind::kCos, x);
}
Tensor pow(Tensor base, Tensor exponent) {
  return binary(Kind::kPower, base, exponent);
}
Tensor pow(Tensor base, double exponent) {
  return pow(base, number_beside(base, exponent, "pow"));
}

Tensor equal(Tensor a, Tensor b) {
  return binary(Kind::kEqual, a, b);
}
Tensor not_equal(Tensor a, Tensor b) {
  return binary(Kind::kNotEqual, a, b);
}
Tensor greater(Tensor a, Tensor b) {
  return binary(Kind::kGreater, a, b);
}
Tensor greater_equal(Tensor a, Tensor b) {
  return binary(Kind::kGreaterEqual, a, b);
}
Tensor less(Tensor a, Tensor b) {
  return binary(Kind::kLess, a, b);
}
Tensor less_equal(Tensor a, Tensor b) {
  return binary(Kind::kLessEqual, a, b);
}
Tensor equal(Tensor a, double b) {
  return equal(a, number_beside(a, b, "equal"));
}
Tensor not_equal(Tensor a, double b) {
  return not_equal(a, number_beside(a, b, "not_equal"));
}
Tensor greater(Tensor a, double b) {
  return greater(a, number_beside(a, b, "greater"));
}
Tensor greater_equal(Tensor a, double b) {
  return greater_equal(a, number_beside(a, b, "greater_equal"));
}
Tensor less(Tensor a, double b) {
  return less(a, number_beside(a, b, "less"));
}
Tensor less_equal(Tensor a, double b) {
  return less_equal(a, number_beside(a, b, "less_equal"));
}
Tensor logical_and(Tensor a, Tensor b) {
  return binary(Kind::kAnd, a, b);
}
Tensor logical_or(Tensor a, Tensor b) {
  return binary(Kind::kOr, a, b);
}
Tensor logical_xor(Tensor a, Tensor b) {
  return binary(Kind::kXor, a, b);
}
Tensor logical_not(Tensor a) {
  return unary(Kind::kNot, a);
}

Tensor where(Tensor condition, Tensor a, Tensor b) {
  return add_node(std::make_shared<WhereOperation>(), {condition, a, b});
}
Tensor cast(Tensor x, DType dtype) {
  if (x && x.dtype() == dtype) return x;
  return add_node(std::make_shared<CastOperation>(dtype), {x});
}

Tensor copy(Tensor x) {
  return unary(Kind::kCopy, x);
}
Tensor own_memory(Tensor x) {
  if (!x) throw std::invalid_argument("an input is an empty tensor");
  if (x.index() > 0) return x;  // only an output 0 is ever an alias
  std::vector<TensorType> types;
  for (const Tensor& input : x.node().inputs) types.push_back({input.shape(), input.dtype()});
  // An operation may be an alias for some shapes only, and open dimensions decide later.
  const bool may_alias = !types.empty() && (x.node().operation->alias(types) >= 0 ||
                                            x.node().operation->alias_decided_by_shapes());
  return types.empty() || may_alias ? copy(x) : x;
}

Tensor zeros_like(Tensor x) {
  return add_node(std::make_shared<ZerosLikeOperation>(), {x});
}
Tensor broadcast_like(Tensor x, Tensor like) {
  return add_node(std::make_shared<BroadcastLikeOperation>(), {x, like});
}
Tensor stop_gradient(Tensor x) {
  return add_node(std::make_shared<StopGradientOperation>(), {x});
}

}  // namespace unroll
