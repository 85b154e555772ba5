/// Operations that make a tensor larger: a border of one value, and repetition.
#include <algorithm>

#include "host/graph/element_range.h"
#include "host/graph/operation.h"
#include "host/ops/layout.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

class PadOperation final : public Operation {
 public:
  PadOperation(std::vector<Padding> padding, double value)
      : padding_(std::move(padding)), value_(value) {}

  std::string kind() const override { return "pad"; }

  void attributes(const AttributeVisitor& visit) const override {
    std::vector<std::int64_t> padding;  // before and after each axis
    for (const Padding& p : padding_) padding.insert(padding.end(), {p.before, p.after});
    visit("padding", padding);
    visit("value", value_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    TensorType padded = inputs[0];
    Shape& shape = padded.shape;
    if (int(padding_.size()) != shape.rank())
      shape_error(std::to_string(padding_.size()) + " paddings",
                  "one for each axis of " + to_string(shape));
    if (!holds(padded.dtype, value_))
      shape_error("the value " + std::to_string(value_), "one of type " + to_string(padded.dtype));
    for (int k = 0; k < shape.rank(); ++k) {
      const Padding& p = padding_[std::size_t(k)];
      if (p.before < 0 || p.after < 0)
        shape_error("padding of " + std::to_string(std::min(p.before, p.after)), "0 or more");
      if (shape[k] != kOpen) shape[k] += p.before + p.after;
    }
    return {padded};
  }

  void run(const RunContext& c) const override {
    const View &x = c.inputs[0], &y = c.outputs[0];
    c.backend.fill({y, value_});
    const Shape strides = row_major_strides(y.shape);
    std::int64_t offset = 0;
    for (int k = 0; k < strides.rank(); ++k) offset += padding_[std::size_t(k)].before * strides[k];
    c.backend.copy_region({x, y, x.shape, row_major_strides(x.shape), strides, 0, offset});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor> dy) const override {
    Tensor dx = dy[0];
    for (std::size_t k = 0; k < padding_.size(); ++k)
      if (const Padding& p = padding_[k]; p.before > 0 || p.after > 0)
        dx = slice(dx, int(k), p.before, p.after == 0 ? kEnd : -p.after);
    return {dx};
  }

 private:
  std::vector<Padding> padding_;
  double value_;
};

/// Sums the repetitions: the gradient of tile. Inputs: the gradient, and what was repeated, for its
/// shape.
class TileGradientOperation final : public Operation {
 public:
  TileGradientOperation(int axis, std::int64_t repeats) : axis_(axis), repeats_(repeats) {}

  std::string kind() const override { return "tile_gradient"; }
  void attributes(const AttributeVisitor& visit) const override {
    visit("axis", axis_);
    visit("repeats", repeats_);
  }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[1]};
  }
  void run(const RunContext& c) const override {
    View from = c.inputs[0], to = around_axis(c.outputs[0], axis_);
    const std::int64_t block = to.shape[1] * to.shape[2];
    from.shape = {to.shape[0], repeats_, block};
    to.shape = {to.shape[0], 1, block};
    c.backend.reduce({ReduceKind::kSum, from, to});
  }
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override;

 private:
  int axis_;
  std::int64_t repeats_;
};

/// Along one axis.
class TileOperation final : public Operation {
 public:
  TileOperation(int axis, std::int64_t repeats) : axis_(axis), repeats_(repeats) {}

  std::string kind() const override { return "tile"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("axis", axis_);
    visit("repeats", repeats_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    TensorType tiled = inputs[0];
    if (std::int64_t& dim = tiled.shape[axis_]; dim != kOpen) dim *= repeats_;
    return {tiled};
  }

  void run(const RunContext& c) const override {
    const View x = around_axis(c.inputs[0], axis_);
    const std::int64_t block = x.shape[1] * x.shape[2];
    c.backend.copy_region({x,
                           c.outputs[0],
                           {x.shape[0], repeats_, block},
                           {block, 0, 1},
                           {repeats_ * block, block, 1}});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {add_node(std::make_shared<TileGradientOperation>(axis_, repeats_),
                     {dy[0], node.inputs[0]})};
  }

 private:
  int axis_;
  std::int64_t repeats_;
};

std::vector<Gradient> TileGradientOperation::gradient(const Node&,
                                                      std::span<const Tensor> dy) const {
  return {add_node(std::make_shared<TileOperation>(axis_, repeats_), {dy[0]}), {}};
}

}  // namespace

Tensor pad(Tensor x, const std::vector<Padding>& padding, double value) {
  return add_node(std::make_shared<PadOperation>(padding, value), {x});
}

Tensor tile(Tensor x, const std::vector<std::int64_t>& repeats) {
  const auto fail = [](const std::string& got, const std::string& expected) {
    throw std::invalid_argument("tile: got " + got + ", expected " + expected);
  };
  if (!x) fail("an empty tensor", "one to repeat");
  if (int(repeats.size()) != x.shape().rank())
    fail(std::to_string(repeats.size()) + " numbers of repeats",
         "one for each axis of " + to_string(x.shape()));
  for (const std::int64_t count : repeats)
    if (count < 1) fail(std::to_string(count) + " repeats", "1 or more");
  // The last axis first: later ones copy longer blocks.
  for (int axis = x.shape().rank(); axis-- > 0;)
    if (const std::int64_t count = repeats[std::size_t(axis)]; count > 1)
      x = add_node(std::make_shared<TileOperation>(axis, count), {x});
  return x;
}

}  // namespace unroll
