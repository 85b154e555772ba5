/// Operations that move elements and compute nothing: slice, concat, split, transpose, reshape.
#include "host/ops/layout.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "host/graph/operation.h"
#include "host/ops/elementwise.h"
#include "unroll/ops.h"

namespace unroll {

Shape row_major_strides(const Shape& shape) {
  Shape strides = shape;
  std::int64_t stride = 1;
  for (int k = shape.rank() - 1; k >= 0; --k) {
    strides[k] = stride;
    stride *= shape[k];
  }
  return strides;
}

View around_axis(View view, int axis) {
  axis = normal_axis(axis, view.shape.rank());
  const std::int64_t size = view.shape[axis], inner = row_major_strides(view.shape)[axis];
  std::int64_t outer = 1;
  for (int k = 0; k < axis; ++k) outer *= view.shape[k];
  view.shape = {outer, size, inner};
  return view;
}

int axis_of(Tensor x, int axis, int rank, const char* operation) {
  if (!x) throw std::invalid_argument(std::string(operation) + ": an input is an empty tensor");
  try {
    return normal_axis(axis, rank);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(std::string(operation) + ": " + error.what());
  }
}

namespace {

/// The block of `whole` that begins at `begin` along `axis` has the shape of `part`.
std::int64_t block_offset(const View& whole, int axis, std::int64_t begin) {
  return begin * row_major_strides(whole.shape)[axis];
}

void copy_block_out(Backend& backend, const View& whole, const View& part, int axis,
                    std::int64_t begin) {
  backend.copy_region({whole, part, part.shape, row_major_strides(whole.shape),
                       row_major_strides(part.shape), block_offset(whole, axis, begin), 0});
}

void copy_block_in(Backend& backend, const View& part, const View& whole, int axis,
                   std::int64_t begin) {
  backend.copy_region({part, whole, part.shape, row_major_strides(part.shape),
                       row_major_strides(whole.shape), 0, block_offset(whole, axis, begin)});
}

/// Inputs: the gradient of a slice, and the tensor that was sliced, for its shape.
class SliceGradientOperation final : public Operation {
 public:
  SliceGradientOperation(int axis, std::int64_t begin) : axis_(axis), begin_(begin) {}
  std::string kind() const override { return "slice_gradient"; }
  void attributes(const AttributeVisitor& visit) const override {
    visit("axis", axis_);
    visit("begin", begin_);
  }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[1]};
  }
  void run(const RunContext& c) const override {
    const View& whole = c.outputs[0];
    c.backend.clear(whole.data, whole.bytes());
    const std::int64_t begin = begin_ < 0 ? begin_ + whole.shape[axis_] : begin_;
    copy_block_in(c.backend, c.inputs[0], whole, axis_, begin);
  }
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override;

 private:
  int axis_;
  std::int64_t begin_;
};

class SliceOperation final : public Operation {
 public:
  SliceOperation(int axis, std::int64_t begin, std::int64_t end)
      : axis_(axis), begin_(begin), end_(end) {}

  std::string kind() const override { return "slice"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("axis", axis_);
    visit("begin", begin_);
    if (end_ != kEnd) visit("end", end_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const DType dtype = inputs[0].dtype;
    Shape shape = inputs[0].shape;
    const int axis = normal_axis(axis_, shape.rank());
    const std::int64_t dim = shape[axis];
    if (dim == kOpen) {
      const std::int64_t end = end_ == kEnd && begin_ < 0 ? 0 : end_;
      const bool known = (begin_ < 0) == (end_ < 0 || (end_ == kEnd && begin_ < 0)) && end != kEnd;
      if (known && end <= begin_)
        shape_error("[" + std::to_string(begin_) + ", " + std::to_string(end) + ")",
                    "a range with an element");
      shape[axis] = known ? end - begin_ : kOpen;
      return {{shape, dtype}};
    }
    const std::int64_t begin = begin_ < 0 ? begin_ + dim : begin_;
    const std::int64_t end = end_ == kEnd ? dim : end_ < 0 ? end_ + dim : end_;
    if (begin < 0 || begin >= end || end > dim)
      shape_error("[" + std::to_string(begin_) + ", " + std::to_string(end_) + ")",
                  "a range within the " + std::to_string(dim) + " elements of axis " +
                      std::to_string(axis));
    shape[axis] = end - begin;
    return {{shape, dtype}};
  }

  void run(const RunContext& c) const override {
    const int axis = normal_axis(axis_, c.inputs[0].shape.rank());
    const std::int64_t begin = begin_ < 0 ? begin_ + c.inputs[0].shape[axis] : begin_;
    copy_block_out(c.backend, c.inputs[0], c.outputs[0], axis, begin);
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const Tensor x = node.inputs[0];
    const int axis = normal_axis(axis_, x.shape().rank());
    return {add_node(std::make_shared<SliceGradientOperation>(axis, begin_), {dy[0], x})};
  }

 private:
  int axis_;
  std::int64_t begin_, end_;
};

std::vector<Gradient> SliceGradientOperation::gradient(const Node& node,
                                                       std::span<const Tensor> dy) const {
  const std::int64_t length = node.inputs[0].shape()[axis_];
  if (length == kOpen) throw std::invalid_argument("slice_gradient: the slice's length is open");
  const std::int64_t end = begin_ + length;
  return {slice(dy[0], axis_, begin_, begin_ < 0 && end == 0 ? kEnd : end), {}};
}

/// Inputs: the gradient of the whole, then all parts for their shapes. Outputs: those of the parts.
class ConcatGradientOperation final : public Operation {
 public:
  explicit ConcatGradientOperation(int axis) : axis_(axis) {}
  std::string kind() const override { return "concat_gradient"; }
  void attributes(const AttributeVisitor& visit) const override { visit("axis", axis_); }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs.begin() + 1, inputs.end()};
  }
  void run(const RunContext& c) const override {
    std::int64_t begin = 0;
    for (std::size_t k = 0; k < c.outputs.size(); ++k) {
      if (c.outputs[k]) copy_block_out(c.backend, c.inputs[0], c.outputs[k], axis_, begin);
      begin += c.inputs[1 + k].shape[axis_];
    }
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    throw std::invalid_argument("concat_gradient: has no gradient of its own");
  }

 private:
  int axis_;
};

class ConcatOperation final : public Operation {
 public:
  explicit ConcatOperation(int axis) : axis_(axis) {}

  std::string kind() const override { return "concat"; }

  void attributes(const AttributeVisitor& visit) const override { visit("axis", axis_); }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    Shape shape = inputs[0].shape;
    const int axis = normal_axis(axis_, shape.rank());
    for (const TensorType& part : inputs.subspan(1)) {
      if (part.dtype != inputs[0].dtype)
        shape_error("parts of " + to_string(inputs[0].dtype) + " and " + to_string(part.dtype),
                    "one element type");
      Shape other = part.shape;
      if (other.rank() == shape.rank()) other[axis] = shape[axis];
      if (!shapes_agree(other, shape))
        shape_error("parts " + to_string(inputs[0].shape) + " and " + to_string(part.shape),
                    "equal dimensions but for axis " + std::to_string(axis));
      const std::int64_t dim = part.shape[axis];
      for (int k = 0; k < shape.rank(); ++k)
        if (k != axis) shape[k] = agreed_dim(shape[k], other[k], "dimensions");
      shape[axis] = dim == kOpen || shape[axis] == kOpen ? kOpen : shape[axis] + dim;
    }
    return {{shape, inputs[0].dtype}};
  }

  void run(const RunContext& c) const override {
    const int axis = normal_axis(axis_, c.outputs[0].shape.rank());
    std::int64_t begin = 0;
    for (const View& part : c.inputs) {
      copy_block_in(c.backend, part, c.outputs[0], axis, begin);
      begin += part.shape[axis];
    }
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const int axis = normal_axis(axis_, dy[0].shape().rank());
    std::vector<Tensor> inputs = {dy[0]};
    inputs.insert(inputs.end(), node.inputs.begin(), node.inputs.end());
    const Node& gradient =
        node.graph->add("", std::make_shared<ConcatGradientOperation>(axis), std::move(inputs));
    std::vector<Gradient> result;
    for (std::size_t k = 0; k < node.inputs.size(); ++k)
      result.emplace_back(Tensor(&gradient, int(k)));
    return result;
  }

 private:
  int axis_;
};

/// Into equal parts, or into parts of given sizes.
class SplitOperation final : public Operation {
 public:
  SplitOperation(int axis, int parts, std::vector<std::int64_t> sizes)
      : axis_(axis), parts_(parts), sizes_(std::move(sizes)) {}

  std::string kind() const override { return "split"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("axis", axis_);
    if (sizes_.empty())
      visit("parts", parts_);
    else
      visit("sizes", sizes_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const Shape& whole = inputs[0].shape;
    const int axis = normal_axis(axis_, whole.rank());
    const std::int64_t dim = whole[axis];
    const std::string of = "the " + std::to_string(dim) + " elements of axis " +
                           std::to_string(axis) + " of " + to_string(whole);
    std::vector<std::int64_t> sizes = sizes_;
    if (sizes_.empty()) {
      if (parts_ < 1) shape_error(std::to_string(parts_) + " parts", "1 or more");
      if (dim != kOpen && (dim % parts_ != 0 || dim == 0))
        shape_error(std::to_string(parts_) + " parts", "a number that divides " + of);
      sizes.assign(std::size_t(parts_), dim == kOpen ? kOpen : dim / parts_);
    } else {
      for (const std::int64_t size : sizes)
        if (size < 1) shape_error("a part of " + std::to_string(size), "1 or more");
      const std::int64_t sum = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
      if (dim != kOpen && sum != dim) shape_error("parts of " + std::to_string(sum), "all " + of);
    }
    std::vector<TensorType> parts(sizes.size(), inputs[0]);
    for (std::size_t k = 0; k < sizes.size(); ++k) parts[k].shape[axis] = sizes[k];
    return parts;
  }

  void run(const RunContext& c) const override {
    const Shape& whole = c.inputs[0].shape;
    const int axis = normal_axis(axis_, whole.rank());
    std::int64_t begin = 0;
    for (std::size_t k = 0; k < c.outputs.size(); ++k) {
      if (c.outputs[k]) copy_block_out(c.backend, c.inputs[0], c.outputs[k], axis, begin);
      begin += sizes_.empty() ? whole[axis] / parts_ : sizes_[k];
    }
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    std::vector<Tensor> parts;
    for (std::size_t k = 0; k < dy.size(); ++k)
      parts.push_back(dy[k] ? dy[k] : zeros_like({&node, int(k)}));
    return {concat(parts, axis_)};
  }

 private:
  int axis_, parts_;
  std::vector<std::int64_t> sizes_;  // empty: equal parts
};

std::vector<Tensor> split_with(Tensor x, std::shared_ptr<const Operation> operation) {
  const Tensor first = add_node(std::move(operation), {x});
  std::vector<Tensor> parts;
  for (std::size_t k = 0; k < first.node().outputs.size(); ++k)
    parts.emplace_back(&first.node(), int(k));
  return parts;
}

class TransposeOperation final : public Operation {
 public:
  explicit TransposeOperation(std::vector<int> order) : order_(std::move(order)) {}

  std::string kind() const override { return "transpose"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("order", std::vector<std::int64_t>(order_.begin(), order_.end()));
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const int rank = inputs[0].shape.rank();
    std::vector<int> sorted = order_, all(std::size_t(rank), 0);
    std::ranges::sort(sorted);
    std::iota(all.begin(), all.end(), 0);
    if (sorted != all)
      shape_error("an order of " + std::to_string(order_.size()) + " axes",
                  "each axis of " + to_string(inputs[0].shape) + " once");
    Shape shape;
    for (const int axis : order_) shape.append(inputs[0].shape[axis]);
    return {{shape, inputs[0].dtype}};
  }

  void run(const RunContext& c) const override {
    const Shape strides = row_major_strides(c.inputs[0].shape);
    Shape walked;
    for (const int axis : order_) walked.append(strides[axis]);
    c.backend.copy_region({c.inputs[0], c.outputs[0], c.outputs[0].shape, walked,
                           row_major_strides(c.outputs[0].shape)});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor> dy) const override {
    std::vector<int> inverse(order_.size());
    for (std::size_t k = 0; k < order_.size(); ++k) inverse[std::size_t(order_[k])] = int(k);
    return {transpose(dy[0], inverse)};
  }

 private:
  std::vector<int> order_;
};

/// The shape of the result, with its one open dimension taking what is left.
Shape resolved(const Shape& wanted, const Shape& from) {
  Shape shape = wanted;
  int open = -1;
  std::int64_t known = 1;
  for (int k = 0; k < shape.rank(); ++k) {
    if (shape[k] == kOpen) {
      if (open >= 0) shape_error(to_string(wanted), "at most one open dimension");
      open = k;
    } else {
      known *= shape[k];
    }
  }
  if (from.is_open()) return shape;
  const std::int64_t elements = from.elements();
  if (open >= 0 && known > 0 && elements % known == 0) shape[open] = elements / known;
  if (shape.is_open() || shape.elements() != elements)
    shape_error(to_string(from) + " as " + to_string(wanted), "as many elements");
  return shape;
}

/// To a shape, or, without one, to that of a second input.
class ReshapeOperation final : public Operation {
 public:
  explicit ReshapeOperation(std::optional<Shape> shape) : shape_(shape) {}

  std::string kind() const override { return "reshape"; }

  void attributes(const AttributeVisitor& visit) const override {
    if (shape_) visit("shape", *shape_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    if (!shape_ && (inputs[0].shape.is_open() || inputs[1].shape.is_open()))
      return {{inputs[1].shape, inputs[0].dtype}};
    return {{resolved(shape_ ? *shape_ : inputs[1].shape, inputs[0].shape), inputs[0].dtype}};
  }

  int alias(std::span<const TensorType>) const override { return 0; }
  void run(const RunContext&) const override {}

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    std::vector<Gradient> result(node.inputs.size());
    result[0] = add_node(std::make_shared<ReshapeOperation>(std::nullopt), {dy[0], node.inputs[0]});
    return result;
  }

 private:
  std::optional<Shape> shape_;
};

/// Adds an axis of one element, or takes one away. The axis is one of the longer shape's.
class UnitAxisOperation final : public Operation {
 public:
  UnitAxisOperation(bool adds, int axis) : adds_(adds), axis_(axis) {}

  std::string kind() const override { return adds_ ? "expand_dims" : "squeeze"; }
  void attributes(const AttributeVisitor& visit) const override { visit("axis", axis_); }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const Shape& from = inputs[0].shape;
    if (!adds_) {
      const int axis = normal_axis(axis_, from.rank());
      if (!dims_agree(from[axis], 1))
        shape_error(to_string(from), "1 element along axis " + std::to_string(axis));
      return {{from.without(axis), inputs[0].dtype}};
    }
    const int axis = normal_axis(axis_, from.rank() + 1);
    Shape shape;
    for (int k = 0; k <= from.rank(); ++k)
      shape.append(k < axis ? from[k] : k == axis ? 1 : from[k - 1]);
    return {{shape, inputs[0].dtype}};
  }

  int alias(std::span<const TensorType>) const override { return 0; }
  void run(const RunContext&) const override {}

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor> dy) const override {
    return {add_node(std::make_shared<UnitAxisOperation>(!adds_, axis_), {dy[0]})};
  }

 private:
  bool adds_;
  int axis_;
};

}  // namespace

Tensor slice(Tensor x, int axis, std::int64_t begin, std::int64_t end) {
  return add_node(std::make_shared<SliceOperation>(axis, begin, end), {x});
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  return add_node(std::make_shared<ConcatOperation>(axis), {parts.begin(), parts.end()});
}

Tensor transpose(Tensor x, std::vector<int> order) {
  if (order.empty() && x) {
    order.resize(std::size_t(x.shape().rank()));
    std::iota(order.rbegin(), order.rend(), 0);
  }
  return add_node(std::make_shared<TransposeOperation>(std::move(order)), {x});
}

Tensor reshape(Tensor x, const Shape& shape) {
  return add_node(std::make_shared<ReshapeOperation>(shape), {x});
}

Tensor expand_dims(Tensor x, int axis) {
  return add_node(std::make_shared<UnitAxisOperation>(true, axis), {x});
}

Tensor squeeze(Tensor x, int axis) {
  return add_node(std::make_shared<UnitAxisOperation>(false, axis), {x});
}

std::vector<Tensor> split(Tensor x, int parts, int axis) {
  return split_with(x, std::make_shared<SplitOperation>(axis, parts, std::vector<std::int64_t>()));
}

std::vector<Tensor> split(Tensor x, const std::vector<std::int64_t>& sizes, int axis) {
  return split_with(x, std::make_shared<SplitOperation>(axis, 0, sizes));
}

Tensor stack(const std::vector<Tensor>& parts, int axis) {
  std::vector<Tensor> expanded;
  for (const Tensor& part : parts) expanded.push_back(expand_dims(part, axis));
  return concat(expanded, axis);
}

std::vector<Tensor> unstack(Tensor x, int axis) {
  const int counted = axis_of(x, axis, x ? x.shape().rank() : 0, "unstack");
  const std::int64_t parts = x.shape()[counted];
  if (parts == kOpen || parts > INT32_MAX)
    throw std::invalid_argument("unstack: got " + to_string(x.shape()) +
                                ", expected a known number of elements along axis " +
                                std::to_string(counted));
  std::vector<Tensor> all = split(x, int(parts), counted);
  for (Tensor& part : all) part = squeeze(part, counted);
  return all;
}

}  // namespace unroll
