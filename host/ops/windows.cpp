/// Pooling: windows copied side by side, [N, C, OH, OW, KH KW], then a reduction.
#include "host/ops/windows.h"

#include <limits>
#include <stdexcept>

#include "host/graph/operation.h"
#include "host/ops/layout.h"
#include "unroll/ops.h"

namespace unroll {

Shape Window::extent(const Shape& x) const {
  const auto places = [&](std::int64_t size, std::int64_t window) {
    return size == kOpen ? kOpen : (size - dilation * (window - 1) - 1) / stride + 1;
  };
  return {x[0], x[1], places(x[2], height), places(x[3], width), height, width};
}

Shape Window::strides_in(const Shape& x) const {
  const Shape s = row_major_strides(x);
  return {s[0], s[1], stride * s[2], stride * s[3], dilation * s[2], dilation * s[3]};
}

void Window::require_place(const Shape& x) const {
  const std::int64_t sizes[] = {height, width};
  for (int k = 0; k < 2; ++k)
    if (const std::int64_t span = dilation * (sizes[k] - 1) + 1;
        x[2 + k] != kOpen && x[2 + k] < span)
      shape_error("a window of " + std::to_string(span) + " elements",
                  "at most the " + std::to_string(x[2 + k]) + " of axis " + std::to_string(2 + k) +
                      " of " + to_string(x) + " with its padding");
}

void require_windows_input(const char* operation, Tensor x, int axes) {
  if (!x) throw refused(operation, "an empty tensor", "x");
  if (x.dtype() != DType::kFloat32)
    throw refused(operation, "x of " + to_string(x.dtype()), "float32");
  if (x.shape().rank() != 2 + axes)
    throw refused(operation, "x " + to_string(x.shape()), axes == 1 ? "[N, C, L]" : "[N, C, H, W]");
}

std::invalid_argument refused(const char* operation, const std::string& got,
                              const std::string& expected) {
  return std::invalid_argument(std::string(operation) + ": got " + got + ", expected " + expected);
}

namespace {

void visit_window(const AttributeVisitor& visit, const Window& window) {
  visit("height", window.height);
  visit("width", window.width);
  visit("stride", window.stride);
}

/// Adds overlapping windows: the gradient of unfold. Inputs: the windows, and x for its shape.
class FoldOperation final : public Operation {
 public:
  explicit FoldOperation(const Window& window) : window_(window) {}
  std::string kind() const override { return "fold"; }
  void attributes(const AttributeVisitor& visit) const override { visit_window(visit, window_); }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[1]};
  }
  void run(const RunContext& c) const override {
    const Shape& x = c.outputs[0].shape;
    const Shape extent = window_.extent(x);
    c.backend.fold({c.inputs[0], row_major_strides(extent), extent, window_.stride,
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
  void attributes(const AttributeVisitor& visit) const override { visit_window(visit, window_); }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "x");
    require_rank(inputs[0], 4, "x");
    window_.require_place(inputs[0].shape);
    const Shape e = window_.extent(inputs[0].shape);
    return {{{e[0], e[1], e[2], e[3], e[4] * e[5]}, DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    const Shape &x = c.inputs[0].shape, extent = window_.extent(x);
    c.backend.copy_region(
        {c.inputs[0], c.outputs[0], extent, window_.strides_in(x), row_major_strides(extent)});
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

/// A border of `value` along the last `axes` axes.
Tensor with_border(Tensor x, std::int64_t padding, int axes, double value) {
  if (padding == 0) return x;
  std::vector<Padding> border(std::size_t(x.shape().rank()));
  for (std::size_t k = border.size() - std::size_t(axes); k < border.size(); ++k)
    border[k] = {padding, padding};
  return pad(x, border, value);
}

/// [N, C, OH, OW, elements of the window], or without OH.
Tensor pool_windows(const char* operation, Tensor x, int axes, std::int64_t size,
                    const PoolOptions& options, double border) {
  require_windows_input(operation, x, axes);
  if (size < 1)
    throw refused(operation, "a window of " + std::to_string(size), "1 or more elements");
  if (options.stride < 0 || options.padding < 0 || options.padding > size / 2)
    throw refused(
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
