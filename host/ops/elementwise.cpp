/// Operations on elements, with NumPy's broadcasting: shape rule, forward and gradient.
#include "host/ops/elementwise.h"

#include <algorithm>

#include "host/graph/operation.h"
#include "host/ops/reduce.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

using Kind = ElementwiseKind;

/// The result's dimension. An open one beside one above 1 can only be equal to it, or 1.
std::int64_t broadcast_dim(std::int64_t a, std::int64_t b) {
  if (a == b || b == 1) return a;
  if (a == 1) return b;
  return agreed_dim(a, b, "dimensions");
}

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
    case Kind::kTanh:
      return "tanh";
    case Kind::kLogistic:
      return "logistic";
    case Kind::kRelu:
      return "relu";
    case Kind::kExp:
      return "exp";
    case Kind::kLog:
      return "log";
    case Kind::kEqual:
      return "equal";
    case Kind::kFinite:
      return "finite";
    case Kind::kTanhGradient:
      return "tanh_gradient";
    case Kind::kLogisticGradient:
      return "logistic_gradient";
    case Kind::kReluGradient:
      return "relu_gradient";
  }
  return "?";
}

class ElementwiseOperation final : public Operation {
 public:
  explicit ElementwiseOperation(Kind kind, double alpha = 1, double beta = 0)
      : kind_(kind), alpha_(float(alpha)), beta_(float(beta)) {}

  std::string kind() const override { return name_of(kind_); }

  void attributes(const AttributeVisitor& visit) const override {
    if (kind_ != Kind::kAffine) return;
    visit("alpha", alpha_);
    visit("beta", beta_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    Shape shape = inputs[0].shape;
    for (const TensorType& input : inputs) {
      require_dtype(input, DType::kFloat32, "an input");
      shape = broadcast_shape(shape, input.shape);
    }
    return {{shape, DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    c.backend.elementwise({kind_, c.inputs[0], c.inputs.size() > 1 ? c.inputs[1] : View(),
                           c.outputs[0], alpha_, beta_});
  }

  int in_place(int) const override { return 0; }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dys) const override {
    const Tensor dy = dys[0], y(&node, 0), a = node.inputs[0];
    const Tensor b = node.inputs.size() > 1 ? node.inputs[1] : Tensor();
    const auto to_a = [&](Tensor g) { return Gradient(sum_to(g, a)); };
    const auto to_b = [&](Tensor g) { return Gradient(sum_to(g, b)); };
    const auto of_kind = [&](Kind kind) {
      return add_node(std::make_shared<ElementwiseOperation>(kind), {y, dy});
    };
    switch (kind_) {
      case Kind::kCopy:
        return {to_a(dy)};
      case Kind::kAffine:
        return {to_a(double(alpha_) * dy)};
      case Kind::kAdd:
        return {to_a(dy), to_b(dy)};
      case Kind::kSubtract:
        return {to_a(dy), to_b(-dy)};
      case Kind::kMultiply:
        return {to_a(dy * b), to_b(dy * a)};
      case Kind::kDivide:
        return {to_a(dy / b), to_b(-(dy * y / b))};
      case Kind::kTanh:
        return {to_a(of_kind(Kind::kTanhGradient))};
      case Kind::kLogistic:
        return {to_a(of_kind(Kind::kLogisticGradient))};
      case Kind::kRelu:
        return {to_a(of_kind(Kind::kReluGradient))};
      case Kind::kExp:
        return {to_a(dy * y)};
      case Kind::kLog:
        return {to_a(dy / a)};
      case Kind::kEqual:
        return {{}, {}};
      case Kind::kFinite:
        return {{}};
      // y and dy are a node's own values; second derivatives are not offered.
      case Kind::kTanhGradient:
      case Kind::kLogisticGradient:
      case Kind::kReluGradient:
        break;
    }
    throw std::invalid_argument(kind() + ": has no gradient of its own");
  }

 private:
  Kind kind_;
  float alpha_, beta_;
};

Tensor unary(Kind kind, Tensor x, double alpha = 1, double beta = 0) {
  return add_node(std::make_shared<ElementwiseOperation>(kind, alpha, beta), {x});
}

Tensor binary(Kind kind, Tensor a, Tensor b) {
  return add_node(std::make_shared<ElementwiseOperation>(kind), {a, b});
}

/// Its input gives only the shape.
class ZerosLikeOperation final : public Operation {
 public:
  std::string kind() const override { return "zeros_like"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{inputs[0].shape, DType::kFloat32}};
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
    return {{inputs[1].shape, DType::kFloat32}};
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

}  // namespace

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
  return unary(Kind::kAffine, a, 1 / b, 0);
}
Tensor operator/(double a, Tensor b) {
  if (!b) throw std::invalid_argument("div: an input is an empty tensor");
  return b.graph().constant(a) / b;
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
Tensor exp(Tensor x) {
  return unary(Kind::kExp, x);
}
Tensor log(Tensor x) {
  return unary(Kind::kLog, x);
}
Tensor equal(Tensor a, Tensor b) {
  return binary(Kind::kEqual, a, b);
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
