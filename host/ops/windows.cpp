/// Convolution and pooling: windows copied side by side, then a product or a reduction.
#include <array>
#include <limits>
#include <stdexcept>

#include "host/graph/operation.h"
#include "host/ops/layout.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// A window that moves over the last two axes of [N, C, H, W].
struct Window {
  std::int64_t height, width, stride = 1, dilation = 1;
  /// Each place's elements are its last axis: of all channels together for a product, so that
  /// windows are [N, OH, OW, C KH KW]; else of one channel, [N, C, OH, OW, KH KW].
  bool all_channels = false;

  std::int64_t places(std::int64_t size, std::int64_t window) const {
    return size == kOpen ? kOpen : (size - dilation * (window - 1) - 1) / stride + 1;
  }
  /// [N, C, OH, OW, KH, KW]
  Shape extent(const Shape& x) const {
    return {x[0], x[1], places(x[2], height), places(x[3], width), height, width};
  }
  /// Strides of the extent's axes in x.
  Shape strides_in(const Shape& x) const {
    const Shape s = row_major_strides(x);
    return {s[0], s[1], stride * s[2], stride * s[3], dilation * s[2], dilation * s[3]};
  }
  /// The same in the windows.
  Shape strides_in_windows(const Shape& x) const {
    const Shape e = extent(x);
    if (!all_channels) return row_major_strides(e);
    const Shape s = row_major_strides({e[0], e[2], e[3], e[1], e[4], e[5]});
    return {s[0], s[3], s[1], s[2], s[4], s[5]};
  }

  void attributes(const AttributeVisitor& visit) const {
    visit("height", height);
    visit("width", width);
    visit("stride", stride);
    visit("dilation", dilation);
    visit("all_channels", all_channels);
  }
};

/// Adds overlapping windows: the gradient of unfold. Inputs: the windows, and x for its shape.
class FoldOperation final : public Operation {
 public:
  explicit FoldOperation(const Window& window) : window_(window) {}
  std::string kind() const override { return "fold"; }
  void attributes(const AttributeVisitor& visit) const override { window_.attributes(visit); }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[1]};
  }
  void run(const RunContext& c) const override {
    const Shape& x = c.outputs[0].shape;
    c.backend.fold({c.inputs[0], window_.strides_in_windows(x), window_.extent(x), window_.stride,
                    window_.dilation, c.outputs[0]});
  }
  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override;

 private:
  Window window_;
};

/// Copies every place of the window.
class UnfoldOperation final : public Operation {
 public:
  explicit UnfoldOperation(const Window& window) : window_(window) {}

  std::string kind() const override { return "unfold"; }
  void attributes(const AttributeVisitor& visit) const override { window_.attributes(visit); }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "x");
    require_rank(inputs[0], 4, "x");
    const Shape& x = inputs[0].shape;
    const std::int64_t sizes[] = {window_.height, window_.width};
    for (int k = 0; k < 2; ++k)
      if (x[2 + k] != kOpen && x[2 + k] < window_.dilation * (sizes[k] - 1) + 1)
        shape_error(
            "a window of " + std::to_string(window_.dilation * (sizes[k] - 1) + 1) + " elements",
            "at most the " + std::to_string(x[2 + k]) + " of axis " + std::to_string(2 + k) +
                " of " + to_string(x) + " with its padding");
    const std::int64_t oh = window_.places(x[2], window_.height),
                       ow = window_.places(x[3], window_.width),
                       elements = window_.height * window_.width;
    if (!window_.all_channels) return {{{x[0], x[1], oh, ow, elements}, DType::kFloat32}};
    return {{{x[0], oh, ow, x[1] == kOpen ? kOpen : x[1] * elements}, DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    const Shape& x = c.inputs[0].shape;
    const Shape from = window_.strides_in(x), to = window_.strides_in_windows(x);
    const Shape extent = window_.extent(x);
    // In the order of the windows' elements.
    Shape ordered, in, out;
    for (const int axis :
         window_.all_channels ? std::array{0, 2, 3, 1, 4, 5} : std::array{0, 1, 2, 3, 4, 5}) {
      ordered.append(extent[axis]);
      in.append(from[axis]);
      out.append(to[axis]);
    }
    c.backend.copy_region({c.inputs[0], c.outputs[0], ordered, in, out});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {add_node(std::make_shared<FoldOperation>(window_), {dy[0], node.inputs[0]})};
  }

 private:
  Window window_;
};

std::vector<Gradient> FoldOperation::gradient(const Node&, std::span<const Tensor> dy) const {
  return {add_node(std::make_shared<UnfoldOperation>(window_), {dy[0]}), {}};
}

[[noreturn]] void refuse(const char* operation, const std::string& got,
                         const std::string& expected) {
  throw std::invalid_argument(std::string(operation) + ": got " + got + ", expected " + expected);
}

/// x [N, C, ...] of `axes` axes behind the first two.
void require_input(const char* operation, Tensor x, int axes) {
  if (!x) refuse(operation, "an empty tensor", "x");
  if (x.dtype() != DType::kFloat32) refuse(operation, "x of " + to_string(x.dtype()), "float32");
  if (x.shape().rank() != 2 + axes)
    refuse(operation, "x " + to_string(x.shape()), axes == 1 ? "[N, C, L]" : "[N, C, H, W]");
}

/// A border of `value` along the last `axes` axes.
Tensor with_border(Tensor x, std::int64_t padding, int axes, double value) {
  if (padding == 0) return x;
  std::vector<Padding> border(std::size_t(x.shape().rank()));
  for (std::size_t k = border.size() - std::size_t(axes); k < border.size(); ++k)
    border[k] = {padding, padding};
  return pad(x, border, value);
}

/// One axis is two, of which the first has one element.
Tensor convolve(const char* operation, Tensor x, Tensor weight, int axes,
                const ConvolutionOptions& options) {
  require_input(operation, x, axes);
  if (!weight) refuse(operation, "an empty tensor", "a weight");
  const Shape& shape = weight.shape();
  const std::string expected = axes == 1 ? "[F, C, K]" : "[F, C, KH, KW]";
  if (weight.dtype() != DType::kFloat32 || shape.rank() != 2 + axes || shape.is_open() ||
      !dims_agree(shape[1], x.shape()[1]))
    refuse(operation,
           "weight " + to_string(weight.dtype()) + " " + to_string(shape) + " for x " +
               to_string(x.shape()),
           "float32 " + expected + " of known size with x's C");
  if (options.stride < 1 || options.dilation < 1 || options.padding < 0)
    refuse(operation,
           "stride " + std::to_string(options.stride) + ", padding " +
               std::to_string(options.padding) + ", dilation " + std::to_string(options.dilation),
           "a stride and a dilation of 1 or more, a padding of 0 or more");
  x = with_border(x, options.padding, axes, 0);
  if (axes == 1) x = expand_dims(x, 2);
  const Window window{.height = axes == 1 ? 1 : shape[2],
                      .width = shape.last(),
                      .stride = options.stride,
                      .dilation = options.dilation,
                      .all_channels = true};
  const Tensor windows = add_node(std::make_shared<UnfoldOperation>(window), {x});
  const Tensor rows =
      reshape(weight, {shape[0], shape[1] * window.height * window.width});  // [F, C KH KW]
  const Tensor y = transpose(matmul(windows, rows, {.transpose_b = true}), {0, 3, 1, 2});
  return axes == 1 ? squeeze(y, 2) : y;
}

/// [N, C, OH, OW, elements of the window], or without OH.
Tensor pool_windows(const char* operation, Tensor x, int axes, std::int64_t size,
                    const PoolOptions& options, double border) {
  require_input(operation, x, axes);
  if (size < 1) refuse(operation, "a window of " + std::to_string(size), "1 or more elements");
  if (options.stride < 0 || options.padding < 0 || options.padding > size / 2)
    refuse(
        operation,
        "stride " + std::to_string(options.stride) + ", padding " + std::to_string(options.padding),
        "0 or more, and a padding of at most half the window of " + std::to_string(size));
  x = with_border(x, options.padding, axes, border);
  if (axes == 1) x = expand_dims(x, 2);
  const Window window{.height = axes == 1 ? 1 : size,
                      .width = size,
                      .stride = options.stride == 0 ? size : options.stride};
  const Tensor windows = add_node(std::make_shared<UnfoldOperation>(window), {x});
  return axes == 1 ? squeeze(windows, 2) : windows;
}

constexpr double kLowest = -std::numeric_limits<double>::infinity();

}  // namespace

Tensor convolution_1d(Tensor x, Tensor weight, const ConvolutionOptions& options) {
  return convolve("convolution_1d", x, weight, 1, options);
}
Tensor convolution_2d(Tensor x, Tensor weight, const ConvolutionOptions& options) {
  return convolve("convolution_2d", x, weight, 2, options);
}
Tensor max_pool_1d(Tensor x, std::int64_t size, const PoolOptions& options) {
  return reduce_max(pool_windows("max_pool_1d", x, 1, size, options, kLowest), -1);
}
Tensor mean_pool_1d(Tensor x, std::int64_t size, const PoolOptions& options) {
  return reduce_mean(pool_windows("mean_pool_1d", x, 1, size, options, 0), -1);
}
Tensor max_pool_2d(Tensor x, std::int64_t size, const PoolOptions& options) {
  return reduce_max(pool_windows("max_pool_2d", x, 2, size, options, kLowest), -1);
}
Tensor mean_pool_2d(Tensor x, std::int64_t size, const PoolOptions& options) {
  return reduce_mean(pool_windows("mean_pool_2d", x, 2, size, options, 0), -1);
}

}  // namespace unroll
