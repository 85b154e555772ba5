/// Reductions over one axis or all: shape rule, forward and gradient.
#include "host/ops/reduce.h"

#include "host/graph/operation.h"
#include "host/ops/elementwise.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

enum class Reduction { kSum, kMean, kMax };

/// `shape` with 1 for the reduced dimensions.
Shape kept_shape(const Shape& shape, int axis) {
  Shape kept;
  for (int k = 0; k < shape.rank(); ++k)
    kept.append(axis == kAllAxes || k == normal_axis(axis, shape.rank()) ? 1 : shape[k]);
  return kept;
}

Shape reduced_shape(const Shape& shape, int axis, bool keep_dims) {
  if (axis != kAllAxes) normal_axis(axis, shape.rank());
  if (keep_dims) return kept_shape(shape, axis);
  return axis == kAllAxes ? Shape() : shape.without(normal_axis(axis, shape.rank()));
}

void visit_axis(const AttributeVisitor& visit, int axis) {
  if (axis != kAllAxes) visit("axis", axis);
}

/// The same tensor with the reduced dimensions back as 1, open dimensions included.
class RestoreDimsOperation final : public Operation {
 public:
  explicit RestoreDimsOperation(int axis) : axis_(axis) {}
  std::string kind() const override { return "restore_dims"; }
  void attributes(const AttributeVisitor& visit) const override { visit_axis(visit, axis_); }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{kept_shape(inputs[1].shape, axis_), DType::kFloat32}};
  }
  int alias(std::span<const TensorType>) const override { return 0; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    throw std::invalid_argument("restore_dims: has no gradient of its own");
  }

 private:
  int axis_;
};

class ReduceOperation final : public Operation {
 public:
  ReduceOperation(Reduction reduction, int axis, bool keep_dims)
      : reduction_(reduction), axis_(axis), keep_dims_(keep_dims) {}

  std::string kind() const override {
    return reduction_ == Reduction::kSum    ? "reduce_sum"
           : reduction_ == Reduction::kMean ? "reduce_mean"
                                            : "reduce_max";
  }

  void attributes(const AttributeVisitor& visit) const override {
    visit_axis(visit, axis_);
    visit("keep_dims", keep_dims_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "the input");
    return {{reduced_shape(inputs[0].shape, axis_, keep_dims_), DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    View out = c.outputs[0];
    const auto averaged = double(c.inputs[0].elements()) / double(out.elements());
    out.shape = kept_shape(c.inputs[0].shape, axis_);
    c.backend.reduce({reduction_ == Reduction::kMax ? ReduceKind::kMax : ReduceKind::kSum,
                      c.inputs[0], out,
                      reduction_ == Reduction::kMean ? float(1 / averaged) : 1.0F});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const Tensor x = node.inputs[0], y(&node, 0);
    const auto restored = [&](Tensor t) {
      return add_node(std::make_shared<RestoreDimsOperation>(axis_), {t, x});
    };
    const Tensor spread = broadcast_like(restored(dy[0]), x);
    if (reduction_ == Reduction::kSum) return {spread};
    if (reduction_ == Reduction::kMean) return {spread * reciprocal_count(x)};
    const Tensor is_max = equal(x, restored(y));
    const Tensor shared = spread * is_max / reduce_sum(is_max, axis_, {.keep_dims = true});
    return {shared};
  }

 private:
  /// 1 / (number of elements averaged): known only with the feeds.
  Tensor reciprocal_count(Tensor x) const;

  Reduction reduction_;
  int axis_;
  bool keep_dims_;
};

/// [1] 1 / (number of elements that go into one output), as a node: dimensions may be open.
class ReciprocalCountOperation final : public Operation {
 public:
  explicit ReciprocalCountOperation(int axis) : axis_(axis) {}
  std::string kind() const override { return "reciprocal_count"; }
  void attributes(const AttributeVisitor& visit) const override { visit_axis(visit, axis_); }
  std::vector<TensorType> infer(std::span<const TensorType>) const override {
    return {{Shape{1}, DType::kFloat32}};
  }
  void run(const RunContext& c) const override {
    const Shape& shape = c.inputs[0].shape;
    const double count = double(shape.elements()) / double(kept_shape(shape, axis_).elements());
    c.backend.clear(c.outputs[0].data, c.outputs[0].bytes());
    c.backend.elementwise(
        {ElementwiseKind::kAffine, c.outputs[0], {}, c.outputs[0], 1, float(1 / count)});
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }

 private:
  int axis_;
};

Tensor ReduceOperation::reciprocal_count(Tensor x) const {
  return add_node(std::make_shared<ReciprocalCountOperation>(axis_), {x});
}

class SumToOperation final : public Operation {
 public:
  std::string kind() const override { return "sum_to"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{inputs[1].shape, DType::kFloat32}};
  }

  int alias(std::span<const TensorType> inputs) const override {
    return inputs[0].shape == inputs[1].shape ? 0 : -1;
  }
  bool alias_decided_by_shapes() const override { return true; }

  void run(const RunContext& c) const override {
    if (c.outputs[0].data == c.inputs[0].data) return;
    View out = c.outputs[0];
    Shape aligned;  // leading ones up to x's rank
    for (int k = c.inputs[0].shape.rank() - out.shape.rank(); k > 0; --k) aligned.append(1);
    for (const std::int64_t dim : out.shape.dims()) aligned.append(dim);
    out.shape = aligned;
    c.backend.reduce({ReduceKind::kSum, c.inputs[0], out});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {broadcast_like(dy[0], node.inputs[0]), {}};
  }
};

Tensor reduce(Reduction reduction, Tensor x, int axis, const ReduceOptions& options) {
  return add_node(std::make_shared<ReduceOperation>(reduction, axis, options.keep_dims), {x});
}

}  // namespace

Tensor reduce_sum(Tensor x, int axis, const ReduceOptions& options) {
  return reduce(Reduction::kSum, x, axis, options);
}
Tensor reduce_mean(Tensor x, int axis, const ReduceOptions& options) {
  return reduce(Reduction::kMean, x, axis, options);
}
Tensor reduce_max(Tensor x, int axis, const ReduceOptions& options) {
  return reduce(Reduction::kMax, x, axis, options);
}

Tensor sum_to(Tensor x, Tensor like) {
  if (!x.shape().is_open() && x.shape() == like.shape()) return x;
  return add_node(std::make_shared<SumToOperation>(), {x, like});
}

}  // namespace unroll
