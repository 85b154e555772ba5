/// Convolution and its gradients: by a library of the backend's where it has one, else windows are
/// copied side by side and multiplied.
#include <stdexcept>

#include "host/graph/operation.h"
#include "host/ops/layout.h"
#include "host/ops/scratch_layout.h"
#include "host/ops/windows.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

using Result = ConvolutionSpec::Result;

/// Without a library. A row of the windows is a place, and its elements are in the order of a
/// weight's, so that y = windows weight^T but for the order of y's axes.
class WindowProduct final : public ConvolutionPlan {
 public:
  WindowProduct(Backend& backend, const ConvolutionSpec& spec)
      : backend_(backend),
        spec_(spec),
        window_{spec.weight[2], spec.weight[3], spec.stride, spec.dilation},
        places_(spec.y[0] * spec.y[2] * spec.y[3]),
        elements_(spec.weight[1] * spec.weight[2] * spec.weight[3]),
        padded_(spec.x) {
    padded_[2] += 2 * spec.padding_height;
    padded_[3] += 2 * spec.padding_width;
    const auto take = [&](std::int64_t elements) {
      return layout_.add(std::size_t(elements) * sizeof(float));
    };
    windows_at_ = take(places_ * elements_);
    y_at_ = take(places_ * spec.y[1]);
    if (has_padding()) padded_at_ = take(padded_.elements());
  }

  std::size_t scratch_bytes() const override { return layout_.bytes(); }

  void run(const Convolution& c) override {
    const View windows = piece(c, windows_at_, {places_, elements_}),
               y = piece(c, y_at_, {places_, spec_.y[1]});
    View weight = c.weight;
    weight.shape = {spec_.y[1], elements_};
    switch (spec_.result) {
      case Result::kOutput:
        copy_windows(c, windows);
        backend_.matmul({windows, weight, false, true, y});
        backend_.copy_region({y, c.y, spec_.y, y_strides(), row_major_strides(spec_.y)});
        break;
      case Result::kInputGradient:
        copy_y(c, y);
        backend_.matmul({y, weight, false, false, windows});
        add_windows(windows, c);
        break;
      case Result::kWeightGradient:
        copy_windows(c, windows);
        copy_y(c, y);
        backend_.matmul({y, windows, true, false, weight});
        break;
    }
  }

 private:
  bool has_padding() const { return padded_ != spec_.x; }
  static View piece(const Convolution& c, std::size_t offset, const Shape& shape) {
    return piece_of(c.scratch, offset, {shape, DType::kFloat32});
  }
  /// x between zeros.
  View padded(const Convolution& c) const {
    return has_padding() ? piece(c, padded_at_, padded_) : c.x;
  }
  /// Where x begins in it.
  std::int64_t padded_offset() const {
    return spec_.padding_height * padded_[3] + spec_.padding_width;
  }
  /// Strides of [N, F, OH, OW] in [N OH OW, F].
  Shape y_strides() const {
    const Shape s = row_major_strides({spec_.y[0], spec_.y[2], spec_.y[3], spec_.y[1]});
    return {s[0], s[3], s[1], s[2]};
  }

  void copy_y(const Convolution& c, const View& to) const {
    const Shape& s = spec_.y;
    const Shape strides = row_major_strides(s), ordered{s[0], s[2], s[3], s[1]};
    backend_.copy_region({c.y,
                          to,
                          ordered,
                          {strides[0], strides[2], strides[3], strides[1]},
                          row_major_strides(ordered)});
  }

  void copy_windows(const Convolution& c, const View& to) const {
    const View from = padded(c);
    if (has_padding()) {
      backend_.fill({from, 0});
      backend_.copy_region({c.x, from, spec_.x, row_major_strides(spec_.x),
                            row_major_strides(padded_), 0, padded_offset()});
    }
    const Shape e = window_.extent(padded_), s = window_.strides_in(padded_);
    const Shape ordered{e[0], e[2], e[3], e[1], e[4], e[5]};
    backend_.copy_region(
        {from, to, ordered, {s[0], s[2], s[3], s[1], s[4], s[5]}, row_major_strides(ordered)});
  }

  void add_windows(const View& from, const Convolution& c) const {
    const Shape e = window_.extent(padded_),
                s = row_major_strides({e[0], e[2], e[3], e[1], e[4], e[5]});
    const View to = padded(c);
    backend_.fold(
        {from, {s[0], s[3], s[1], s[2], s[4], s[5]}, e, spec_.stride, spec_.dilation, to});
    if (has_padding())
      backend_.copy_region({to, c.x, spec_.x, row_major_strides(padded_),
                            row_major_strides(spec_.x), padded_offset(), 0});
  }

  Backend& backend_;
  ConvolutionSpec spec_;
  Window window_;
  std::int64_t places_, elements_;  // N OH OW and C KH KW
  Shape padded_;                    // x's with its padding
  ScratchLayout layout_;
  std::size_t windows_at_ = 0, y_at_ = 0, padded_at_ = 0;
};

struct ConvolutionState final : OperationState {
  std::unique_ptr<ConvolutionPlan> plan;
};

/// Inputs: x and weight; for a gradient also dy, and there x or weight, of which it is the
/// gradient, only gives its shape.
class ConvolutionOperation final : public Operation {
 public:
  ConvolutionOperation(Result result, const ConvolutionOptions& options, bool is_2d)
      : result_(result), options_(options), is_2d_(is_2d) {}

  std::string kind() const override {
    return result_ == Result::kOutput          ? "convolution"
           : result_ == Result::kInputGradient ? "convolution_input_gradient"
                                               : "convolution_weight_gradient";
  }

  void attributes(const AttributeVisitor& visit) const override {
    visit("stride", options_.stride);
    visit("padding", std::vector{padding_height(), options_.padding});
    visit("dilation", options_.dilation);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    if (result_ == Result::kInputGradient) return {inputs[0]};
    const Shape& weight = inputs[1].shape;
    if (result_ == Result::kWeightGradient) return {inputs[1]};
    Shape padded = inputs[0].shape;
    if (padded[2] != kOpen) padded[2] += 2 * padding_height();
    if (padded[3] != kOpen) padded[3] += 2 * options_.padding;
    const Window window{weight[2], weight[3], options_.stride, options_.dilation};
    window.require_place(padded);
    const Shape extent = window.extent(padded);
    return {{{extent[0], weight[0], extent[2], extent[3]}, DType::kFloat32}};
  }

  void plan(PlanContext& context) const override {
    const Shape& y =
        result_ == Result::kOutput ? context.outputs[0].shape : context.inputs[2].shape;
    const ConvolutionSpec spec{.result = result_,
                               .x = context.inputs[0].shape,
                               .weight = context.inputs[1].shape,
                               .y = y,
                               .stride = options_.stride,
                               .dilation = options_.dilation,
                               .padding_height = padding_height(),
                               .padding_width = options_.padding};
    auto state = std::make_shared<ConvolutionState>();
    state->plan = context.backend.convolution_plan(spec);
    if (!state->plan) state->plan = std::make_unique<WindowProduct>(context.backend, spec);
    context.scratch_bytes = state->plan->scratch_bytes();
    context.state = std::move(state);
  }

  void run(const RunContext& c) const override {
    const View& out = c.outputs[0];
    static_cast<const ConvolutionState&>(*c.state).plan->run(
        {.x = result_ == Result::kInputGradient ? out : c.inputs[0],
         .weight = result_ == Result::kWeightGradient ? out : c.inputs[1],
         .y = result_ == Result::kOutput ? out : c.inputs[2],
         .scratch = c.scratch});
  }

  /// All three are linear in each of the two that they read: the gradient of one is another.
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> d) const override {
    const Tensor x = node.inputs[0], weight = node.inputs[1];
    switch (result_) {
      case Result::kOutput:
        return {other(Result::kInputGradient, {x, weight, d[0]}),
                other(Result::kWeightGradient, {x, weight, d[0]})};
      case Result::kInputGradient:
        return {{},
                other(Result::kWeightGradient, {d[0], weight, node.inputs[2]}),
                other(Result::kOutput, {d[0], weight})};
      case Result::kWeightGradient:
        return {other(Result::kInputGradient, {x, d[0], node.inputs[2]}),
                {},
                other(Result::kOutput, {x, d[0]})};
    }
    throw std::logic_error("unknown result of a convolution");
  }

 private:
  std::int64_t padding_height() const { return is_2d_ ? options_.padding : 0; }

  Tensor other(Result result, std::vector<Tensor> inputs) const {
    return add_node(std::make_shared<ConvolutionOperation>(result, options_, is_2d_),
                    std::move(inputs));
  }

  Result result_;
  ConvolutionOptions options_;
  bool is_2d_;  // else the first axis has one element and no padding
};

Tensor convolve(const char* operation, Tensor x, Tensor weight, const ConvolutionOptions& options,
                bool is_2d) {
  const int axes = is_2d ? 2 : 1;
  require_windows_input(operation, x, axes);
  if (!weight) throw refused(operation, "an empty tensor", "a weight");
  const Shape& shape = weight.shape();
  if (weight.dtype() != DType::kFloat32 || shape.rank() != 2 + axes || shape.is_open() ||
      !dims_agree(shape[1], x.shape()[1]))
    throw refused(operation,
                  "weight " + to_string(weight.dtype()) + " " + to_string(shape) + " for x " +
                      to_string(x.shape()),
                  std::string("float32 ") + (is_2d ? "[F, C, KH, KW]" : "[F, C, K]") +
                      " of known size with x's C");
  if (options.stride < 1 || options.dilation < 1 || options.padding < 0)
    throw refused(operation,
                  "stride " + std::to_string(options.stride) + ", padding " +
                      std::to_string(options.padding) + ", dilation " +
                      std::to_string(options.dilation),
                  "a stride and a dilation of 1 or more, a padding of 0 or more");
  auto convolution = std::make_shared<ConvolutionOperation>(Result::kOutput, options, is_2d);
  if (is_2d) return add_node(std::move(convolution), {x, weight});
  return squeeze(add_node(std::move(convolution), {expand_dims(x, 2), expand_dims(weight, 2)}), 2);
}

}  // namespace

Tensor convolution_1d(Tensor x, Tensor weight, const ConvolutionOptions& options) {
  return convolve("convolution_1d", x, weight, options, false);
}

Tensor convolution_2d(Tensor x, Tensor weight, const ConvolutionOptions& options) {
  return convolve("convolution_2d", x, weight, options, true);
}

}  // namespace unroll
