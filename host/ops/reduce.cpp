/// Reductions over axes: shape rule, forward and gradient.
#include "host/ops/reduce.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "host/graph/operation.h"
#include "host/ops/elementwise.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

enum class Reduction : std::uint8_t { kSum, kMean, kMax, kMin, kAny, kAll, kArgMax, kArgMin };

const char* name_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum:
      return "reduce_sum";
    case Reduction::kMean:
      return "reduce_mean";
    case Reduction::kMax:
      return "reduce_max";
    case Reduction::kMin:
      return "reduce_min";
    case Reduction::kAny:
      return "reduce_any";
    case Reduction::kAll:
      return "reduce_all";
    case Reduction::kArgMax:
      return "argmax";
    case Reduction::kArgMin:
      return "argmin";
  }
  return "?";
}

ReduceKind kernel_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum:
    case Reduction::kMean:
      return ReduceKind::kSum;
    case Reduction::kMax:
    case Reduction::kAny:
      return ReduceKind::kMax;
    case Reduction::kMin:
    case Reduction::kAll:
      return ReduceKind::kMin;
    case Reduction::kArgMax:
      return ReduceKind::kArgMax;
    case Reduction::kArgMin:
      break;
  }
  return ReduceKind::kArgMin;
}

void require_type_of(Reduction reduction, const TensorType& type) {
  const bool real = computes(ElementwiseKind::kDivide, type.dtype);
  const bool number = computes(ElementwiseKind::kAdd, type.dtype);
  const auto require = [&](bool met, const char* expected) {
    if (!met) shape_error("an input of " + to_string(type.dtype), expected);
  };
  if (reduction == Reduction::kAny || reduction == Reduction::kAll)
    require(type.dtype == DType::kBool, "bool");
  else if (reduction == Reduction::kMean)
    require(real, "float32 or float64");
  else
    require(number, "float32, float64, int32 or int64");
}

bool are_all(const Axes& axes) {
  return axes.list().size() == 1 && axes.list().front() == kAllAxes;
}

/// Which dimensions of a tensor of this rank are reduced. It allocates nothing, because runs ask.
std::array<bool, Shape::kMaxRank> reduced_axes(const Axes& axes, int rank) {
  std::array<bool, Shape::kMaxRank> reduced{};
  if (are_all(axes)) {
    reduced.fill(true);
    return reduced;
  }
  if (axes.list().empty()) shape_error("an empty list of axes", "one or more, or kAllAxes");
  for (const int axis : axes.list()) {
    const auto k = std::size_t(normal_axis(axis, rank));
    if (reduced[k]) shape_error("axis " + std::to_string(k) + " twice", "each axis once");
    reduced[k] = true;
  }
  return reduced;
}

/// `shape` with 1 for the reduced dimensions.
Shape kept_shape(const Shape& shape, const Axes& axes) {
  const std::array reduced = reduced_axes(axes, shape.rank());
  Shape kept;
  for (int k = 0; k < shape.rank(); ++k) kept.append(reduced[std::size_t(k)] ? 1 : shape[k]);
  return kept;
}

Shape reduced_shape(const Shape& shape, const Axes& axes, bool keep_dims) {
  if (keep_dims) return kept_shape(shape, axes);
  const std::array reduced = reduced_axes(axes, shape.rank());
  Shape left;
  for (int k = 0; k < shape.rank(); ++k)
    if (!reduced[std::size_t(k)]) left.append(shape[k]);
  return left;
}

void visit_axes(const AttributeVisitor& visit, const Axes& axes) {
  if (are_all(axes)) return;
  if (axes.list().size() == 1)
    visit("axis", axes.list().front());
  else
    visit("axes", std::vector<std::int64_t>(axes.list().begin(), axes.list().end()));
}

/// The same tensor with the reduced dimensions back as 1, open dimensions included.
class RestoreDimsOperation final : public Operation {
 public:
  explicit RestoreDimsOperation(Axes axes) : axes_(std::move(axes)) {}
  std::string kind() const override { return "restore_dims"; }
  void attributes(const AttributeVisitor& visit) const override { visit_axes(visit, axes_); }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{kept_shape(inputs[1].shape, axes_), inputs[0].dtype}};
  }
  int alias(std::span<const TensorType>) const override { return 0; }
  void run(const RunContext&) const override {}
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    throw std::invalid_argument("restore_dims: has no gradient of its own");
  }

 private:
  Axes axes_;
};

class ReduceOperation final : public Operation {
 public:
  ReduceOperation(Reduction reduction, Axes axes, bool keep_dims)
      : reduction_(reduction), axes_(std::move(axes)), keep_dims_(keep_dims) {}

  std::string kind() const override { return name_of(reduction_); }

  void attributes(const AttributeVisitor& visit) const override {
    visit_axes(visit, axes_);
    visit("keep_dims", keep_dims_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_type_of(reduction_, inputs[0]);
    const Shape& in = inputs[0].shape;
    const Shape shape = reduced_shape(in, axes_, keep_dims_);
    if (!gives_place(kernel_of(reduction_))) return {{shape, inputs[0].dtype}};
    if (!in.is_open() && in.elements() == 0 && shape.elements() > 0)
      shape_error("no elements: " + to_string(in), "one or more to choose from");
    return {{shape, DType::kInt64}};
  }

  void run(const RunContext& c) const override {
    View out = c.outputs[0];
    const auto averaged = double(c.inputs[0].elements()) / double(out.elements());
    out.shape = kept_shape(c.inputs[0].shape, axes_);
    c.backend.reduce({kernel_of(reduction_), c.inputs[0], out,
                      reduction_ == Reduction::kMean ? 1 / averaged : 1});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    if (gives_place(kernel_of(reduction_)) || dy[0].dtype() == DType::kBool) return {{}};
    const Tensor x = node.inputs[0], y(&node, 0);
    const auto restored = [&](Tensor t) {
      return add_node(std::make_shared<RestoreDimsOperation>(axes_), {t, x});
    };
    const Tensor spread = broadcast_like(restored(dy[0]), x);
    if (reduction_ == Reduction::kSum) return {spread};
    if (reduction_ == Reduction::kMean) return {spread * reciprocal_count(x)};
    const Tensor is_best = cast(equal(x, restored(y)), x.dtype());
    const Tensor shared = spread * is_best / reduce_sum(is_best, axes_, {.keep_dims = true});
    return {shared};
  }

 private:
  /// 1 / (number of elements averaged): known only with the feeds.
  Tensor reciprocal_count(Tensor x) const;

  Reduction reduction_;
  Axes axes_;
  bool keep_dims_;
};

/// [1] 1 / (number of elements that go into one output), as a node: dimensions may be open.
class ReciprocalCountOperation final : public Operation {
 public:
  explicit ReciprocalCountOperation(Axes axes) : axes_(std::move(axes)) {}
  std::string kind() const override { return "reciprocal_count"; }
  void attributes(const AttributeVisitor& visit) const override { visit_axes(visit, axes_); }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{Shape{1}, inputs[0].dtype}};
  }
  void run(const RunContext& c) const override {
    const Shape& shape = c.inputs[0].shape;
    const double count = double(shape.elements()) / double(kept_shape(shape, axes_).elements());
    c.backend.clear(c.outputs[0].data, c.outputs[0].bytes());
    c.backend.elementwise({ElementwiseKind::kAffine, c.outputs[0], {}, c.outputs[0], 1, 1 / count});
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }

 private:
  Axes axes_;
};

Tensor ReduceOperation::reciprocal_count(Tensor x) const {
  return add_node(std::make_shared<ReciprocalCountOperation>(axes_), {x});
}

class SumToOperation final : public Operation {
 public:
  std::string kind() const override { return "sum_to"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{inputs[1].shape, inputs[0].dtype}};
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

Tensor reduce(Reduction reduction, Tensor x, const Axes& axes, const ReduceOptions& options) {
  return add_node(std::make_shared<ReduceOperation>(reduction, axes, options.keep_dims), {x});
}

}  // namespace

Tensor reduce_sum(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kSum, x, axes, options);
}
Tensor reduce_mean(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kMean, x, axes, options);
}
Tensor reduce_max(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kMax, x, axes, options);
}
Tensor reduce_min(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kMin, x, axes, options);
}
Tensor reduce_any(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kAny, x, axes, options);
}
Tensor reduce_all(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kAll, x, axes, options);
}
Tensor argmax(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kArgMax, x, axes, options);
}
Tensor argmin(Tensor x, const Axes& axes, const ReduceOptions& options) {
  return reduce(Reduction::kArgMin, x, axes, options);
}

Tensor sum_to(Tensor x, Tensor like) {
  if (!x.shape().is_open() && x.shape() == like.shape()) return x;
  return add_node(std::make_shared<SumToOperation>(), {x, like});
}

}  // namespace unroll
