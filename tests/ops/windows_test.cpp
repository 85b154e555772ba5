/// Convolution and pooling, and the kernel that adds overlapping windows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/recording_backend.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

using reference::Steps;

class Windows : public OnEachBackend {};

struct ConvolutionCase {
  Dims x, weight;
  Steps steps;
};

GraphCase graph_case(const ConvolutionCase& test) {
  const ConvolutionOptions options{
      .stride = test.steps.stride, .padding = test.steps.padding, .dilation = test.steps.dilation};
  // As many terms in a sum, of products below 1: an ulp of a sum of at most 8.
  const double terms = double(reference::elements(test.weight)) / double(test.weight[0]);
  return {
      .name = "convolution " + to_string(shape_of(test.x)) + " by " +
              to_string(shape_of(test.weight)) + " stride " + std::to_string(test.steps.stride) +
              " padding " + std::to_string(test.steps.padding) + " dilation " +
              std::to_string(test.steps.dilation),
      .operands = {{test.x, -1, 1}, {test.weight, -1, 1}},
      .build = [=](const auto& x) { return convolution_2d(x[0], x[1], options); },
      .reference = [=](const auto& x) { return reference::convolution(x[0], x[1], test.steps); },
      .ulps = terms,
      .scale = 4,
      .gradient_ulps = 512,  // a weight's gradient adds up to 300 places
      .gradient_scale = 4};
}

TEST_P(Windows, ConvolutionsAndGradientsMatchTheReference) {
  for (const ConvolutionCase& test : {
           ConvolutionCase{{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
           ConvolutionCase{{2, 3, 5, 4}, {4, 3, 1, 1}, {}},
           ConvolutionCase{{2, 3, 7, 6}, {2, 3, 3, 2}, {}},
           ConvolutionCase{{2, 3, 7, 6}, {2, 3, 3, 2}, {.stride = 2}},
           ConvolutionCase{
               {2, 3, 8, 8}, {2, 3, 3, 3}, {.stride = 3}},  // the last rows are not used
           ConvolutionCase{{1, 2, 5, 6}, {3, 2, 3, 3}, {.padding = 1}},
           ConvolutionCase{{1, 2, 5, 6}, {3, 2, 2, 3}, {.stride = 2, .padding = 2}},
           ConvolutionCase{{1, 2, 9, 8}, {2, 2, 3, 2}, {.dilation = 2}},
           ConvolutionCase{{1, 2, 9, 8}, {2, 2, 3, 3}, {.stride = 2, .padding = 1, .dilation = 3}},
           ConvolutionCase{{1, 1, 6, 5}, {1, 1, 6, 5}, {}},
           ConvolutionCase{{1, 33, 2, 3}, {2, 33, 2, 2}, {}},
           ConvolutionCase{{1, 1, 2, 3}, {257, 1, 1, 2}, {}},
           ConvolutionCase{{1, 1, 1, 257}, {1, 1, 1, 2}, {}},
           ConvolutionCase{{2, 1, 2, 40}, {1, 1, 2, 32}, {}},
       })
    check_graph_case(graph_case(test), backend_);
}

TEST_P(Windows, OneDimensionIsTwoWithOneRow) {
  for (const auto& [x, weight, steps] : {
           ConvolutionCase{{2, 3, 9}, {4, 3, 2}, {}},
           ConvolutionCase{{2, 3, 9}, {4, 3, 3}, {.stride = 2, .padding = 2, .dilation = 2}},
           ConvolutionCase{{1, 1, 257}, {1, 1, 31}, {.stride = 3, .padding = 1}},
       }) {
    const ConvolutionOptions options{
        .stride = steps.stride, .padding = steps.padding, .dilation = steps.dilation};
    check_graph_case({.name = "convolution_1d " + to_string(shape_of(x)),
                      .operands = {{x, -1, 1}, {weight, -1, 1}},
                      .build = [=](const auto& t) { return convolution_1d(t[0], t[1], options); },
                      .reference =
                          [=, steps = steps](const auto& t) {
                            const std::int64_t n = t[0].dims[0], c = t[0].dims[1], f = t[1].dims[0];
                            const ComplexArray padded = reference::pad(t[0], {0, 0, steps.padding},
                                                                       {0, 0, steps.padding}, 0);
                            const ComplexArray y = reference::convolution(
                                ComplexArray({n, c, 1, padded.dims[2]}, padded.values),
                                ComplexArray({f, c, 1, t[1].dims[2]}, t[1].values),
                                {.stride = steps.stride, .dilation = steps.dilation});
                            return ComplexArray({n, f, y.dims[3]}, y.values);
                          },
                      .ulps = 64,
                      .scale = 4,
                      .gradient_ulps = 128,
                      .gradient_scale = 4},
                     backend_);
  }
}

struct PoolCase {
  Dims x;
  std::int64_t size;
  Steps steps;
};

TEST_P(Windows, PoolsAndGradientsMatchTheReference) {
  for (const auto& [dims, size, steps] : {
           PoolCase{{1, 1, 1, 1}, 1, {.stride = 1}},
           PoolCase{{2, 3, 6, 4}, 2, {.stride = 2}},
           PoolCase{{2, 3, 7, 5}, 2, {.stride = 2}},  // the last row and column are not used
           PoolCase{{2, 3, 7, 6}, 3, {.stride = 1}},
           PoolCase{{2, 2, 7, 6}, 3, {.stride = 2, .padding = 1}},
           PoolCase{{1, 2, 4, 33}, 2, {.stride = 2, .padding = 1}},
           PoolCase{{33, 1, 3, 3}, 2, {.stride = 1}},
           PoolCase{{1, 1, 2, 257}, 2, {.stride = 1}},
       })
    for (const bool mean : {false, true}) {
      const PoolOptions options{.stride = steps.stride == size ? 0 : steps.stride,
                                .padding = steps.padding};
      check_graph_case(
          {.name = (mean ? "mean_pool_2d " : "max_pool_2d ") + to_string(shape_of(dims)),
           .operands = {{dims}},
           .build =
               [=, size = size](const auto& x) {
                 return mean ? mean_pool_2d(x[0], size, options) : max_pool_2d(x[0], size, options);
               },
           .reference =
               [=, size = size, steps = steps](const auto& x) {
                 return reference::pool(x[0], size, size, steps, mean);
               },
           .ulps = mean ? 9.0 : 0.0,
           // At most nine windows share an element.
           .gradient_ulps = 18},
          backend_);
      if (steps.padding > 0) continue;  // the reference has the same border along both axes
      check_graph_case(
          {.name = (mean ? "mean_pool_1d of " : "max_pool_1d of ") + to_string(shape_of(dims)),
           .operands = {{{dims[0], dims[1] * dims[2], dims[3]}}},
           .build =
               [=, size = size](const auto& x) {
                 return mean ? mean_pool_1d(x[0], size, options) : max_pool_1d(x[0], size, options);
               },
           .reference =
               [=, size = size, steps = steps](const auto& x) {
                 const Dims& d = x[0].dims;
                 const ComplexArray y = reference::pool(
                     ComplexArray({d[0], d[1], 1, d[2]}, x[0].values), 1, size, steps, mean);
                 return ComplexArray({d[0], d[1], y.dims[3]}, y.values);
               },
           .ulps = mean ? 9.0 : 0.0,
           .gradient_ulps = 18},
          backend_);
    }
}

TEST_P(Windows, TiesOfAMaximumShareItsGradient) {
  Graph g;
  const Tensor x = g.placeholder("x", {1, 1, 4});
  const Tensor y = max_pool_1d(x, 2, {.padding = 1});
  const Tensor slope = dense_gradients(reduce_sum(y), {x})[0];
  Session session(g, backend_);
  session.run({y, slope}, {{x, std::vector<float>{-3, 5, 5, -1}}});
  EXPECT_EQ(session.read(y), (std::vector<float>{-3, 5, -1}));  // padding is never the greatest
  EXPECT_EQ(session.read(slope), (std::vector<float>{1, 0.5F, 0.5F, 1}));
}

TEST_P(Windows, NanReachesTheWindowsThatHoldIt) {
  Graph g;
  const Tensor x = g.placeholder("x", {1, 1, 6}), weight = g.constant(1, {1, 1, 2});
  const std::vector<Tensor> all{max_pool_1d(x, 2), mean_pool_1d(x, 2),
                                convolution_1d(x, weight, {.stride = 2})};
  Session session(g, backend_);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values{1, 2, nan, 3, 4, 5};
  session.run(all, std::vector<Feed>{{x, values}});
  for (const Tensor& y : all) {
    const std::vector<float> found = session.read(y);
    ASSERT_EQ(found.size(), 3U);
    for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(std::isnan(found[k]), k == 1) << k;
  }
}

TEST_P(Windows, OpenDimensionsAreFixedByTheFeeds) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 2, kOpen, kOpen});
  const Tensor weight = g.variable("weight", {3, 2, 2, 2}, uniform(-1, 1));
  const Tensor y = convolution_2d(x, weight, {.padding = 1}), pooled = max_pool_2d(y, 2);
  EXPECT_EQ(y.shape(), (Shape{kOpen, 3, kOpen, kOpen}));
  const Tensor slope = dense_gradients(reduce_sum(pooled), {weight})[0];
  Session session(g, backend_);
  for (const std::int64_t n : {1, 3}) {
    const std::vector<float> values(std::size_t(n * 2 * 4 * 5), 1);
    const std::vector<Feed> feeds{{x, std::span<const float>(values), {n, 2, 4, 5}}};
    session.run(std::vector<Tensor>{y, pooled, slope}, feeds);
    EXPECT_EQ(session.shape(y), (Shape{n, 3, 5, 6}));
    EXPECT_EQ(session.shape(pooled), (Shape{n, 3, 2, 3}));
  }
}

UNROLL_FOR_EACH_BACKEND(Windows);

TEST(WindowsShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3, 5, 6}), flat = g.placeholder("flat", {2, 3, 5}),
               weight = g.placeholder("weight", {4, 3, 2, 2}),
               narrow = g.placeholder("narrow", {4, 2, 2, 2}),
               tall = g.placeholder("tall", {4, 3, 6, 2}),
               ids = g.placeholder("ids", {2, 3, 5, 6}, DType::kInt32);
  const auto said = [](const auto& call) {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(said([&] { convolution_2d(flat, weight); }),
            "convolution_2d: got x [2, 3, 5], expected [N, C, H, W]");
  EXPECT_EQ(said([&] { convolution_2d(x, narrow); }),
            "convolution_2d: got weight float32 [4, 2, 2, 2] for x [2, 3, 5, 6], expected float32 "
            "[F, C, KH, KW] of known size with x's C");
  EXPECT_EQ(said([&] { convolution_2d(x, weight, {.stride = 0}); }),
            "convolution_2d: got stride 0, padding 0, dilation 1, expected a stride and a dilation "
            "of 1 or more, a padding of 0 or more");
  EXPECT_EQ(
      said([&] { convolution_2d(x, tall); }),
      "convolution: got a window of 6 elements, expected at most the 5 of axis 2 of [2, 3, 5, 6] "
      "with its padding");
  EXPECT_THROW(convolution_2d(ids, weight), std::invalid_argument);
  EXPECT_THROW(convolution_1d(x, weight), std::invalid_argument);
  EXPECT_THROW(convolution_2d(Tensor(), weight), std::invalid_argument);
  EXPECT_THROW(convolution_2d(x, Tensor()), std::invalid_argument);
  EXPECT_EQ(said([&] { max_pool_2d(x, 2, {.padding = 2}); }),
            "max_pool_2d: got stride 0, padding 2, expected 0 or more, and a padding of at most "
            "half the window of 2");
  EXPECT_THROW(mean_pool_2d(x, 0), std::invalid_argument);
  EXPECT_THROW(max_pool_1d(x, 2), std::invalid_argument);
  EXPECT_THROW(mean_pool_1d(flat, 6), std::invalid_argument);
}

/// A library for convolutions, as the seam describes one: loops over its formula.
class LoopsPlan final : public ConvolutionPlan {
 public:
  explicit LoopsPlan(const ConvolutionSpec& spec) : spec_(spec) {}
  std::size_t scratch_bytes() const override { return 1000; }

  void run(const Convolution& c) override {
    EXPECT_EQ(c.x.shape, spec_.x);
    EXPECT_EQ(c.weight.shape, spec_.weight);
    EXPECT_EQ(c.y.shape, spec_.y);
    EXPECT_GE(c.scratch.bytes(), scratch_bytes());
    using Result = ConvolutionSpec::Result;
    const View& out = spec_.result == Result::kOutput          ? c.y
                      : spec_.result == Result::kInputGradient ? c.x
                                                               : c.weight;
    std::fill_n(out.as<float>(), out.elements(), 0.0F);
    for_each_term([&](std::int64_t at_x, std::int64_t at_weight, std::int64_t at_y) {
      float &x = c.x.as<float>()[at_x], &w = c.weight.as<float>()[at_weight],
            &y = c.y.as<float>()[at_y];
      if (spec_.result == Result::kOutput)
        y += w * x;
      else if (spec_.result == Result::kInputGradient)
        x += w * y;
      else
        w += x * y;
    });
  }

 private:
  static std::int64_t place(const Shape& s, std::int64_t a, std::int64_t b, std::int64_t c,
                            std::int64_t d) {
    return ((a * s[1] + b) * s[2] + c) * s[3] + d;
  }

  void for_each_term(const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& visit) {
    const Shape &x = spec_.x, &w = spec_.weight, &y = spec_.y;
    for (std::int64_t at = 0; at < y.elements() * w.elements() / w[0]; ++at) {
      const std::int64_t kw = at % w[3], kh = at / w[3] % w[2], c = at / (w[3] * w[2]) % w[1];
      const std::int64_t at_y = at / (w[3] * w[2] * w[1]);
      const std::int64_t ow = at_y % y[3], oh = at_y / y[3] % y[2], f = at_y / (y[3] * y[2]) % y[1],
                         n = at_y / (y[3] * y[2] * y[1]);
      const std::int64_t h = oh * spec_.stride + kh * spec_.dilation - spec_.padding_height,
                         v = ow * spec_.stride + kw * spec_.dilation - spec_.padding_width;
      if (h >= 0 && h < x[2] && v >= 0 && v < x[3])
        visit(place(x, n, c, h, v), place(w, f, c, kh, kw), at_y);
    }
  }

  ConvolutionSpec spec_;
};

class LibraryBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  std::unique_ptr<ConvolutionPlan> convolution_plan(const ConvolutionSpec& spec) override {
    ++plans;
    return std::make_unique<LoopsPlan>(spec);
  }
  int plans = 0;
};

TEST(WindowsLibrary, ComputesConvolutionsAndTheirGradientsWhereThereIsOne) {
  const auto backend = std::make_shared<LibraryBackend>(cpu(1));
  check_graph_case(
      graph_case({{1, 2, 9, 8}, {2, 2, 3, 3}, {.stride = 2, .padding = 1, .dilation = 3}}),
      backend);
  check_graph_case(graph_case({{2, 3, 8, 7}, {4, 3, 3, 2}, {.stride = 3}}), backend);
  EXPECT_EQ(backend->plans, 6);

  Graph g;  // with padding along its only axis
  const Tensor x = g.placeholder("x", {1, 1, 3}), weight = g.constant(1, {1, 1, 2});
  const Tensor y = convolution_1d(x, weight, {.padding = 1});
  Session session(g, backend);
  session.run({y}, {{x, std::vector<float>{1, 2, 4}}});
  EXPECT_EQ(session.read(y), (std::vector<float>{1, 3, 6, 4}));
}

TEST_P(Windows, HasASecondGradient) {
  // A convolution with one place, so that it is its own cost. It is linear in x and in w, so
  // (dy/dx)^2 is quadratic in w, and for such an f the sum of w df/dw is 2 f; the other way round
  // it is the same.
  Graph g;
  const Tensor x = g.placeholder("x", {1, 2, 3, 3}), w = g.placeholder("w", {1, 2, 2, 2});
  const Tensor y = convolution_2d(x, w, {.stride = 5, .padding = 1});
  ASSERT_EQ(y.shape(), (Shape{1, 1, 1, 1}));
  const std::vector<Tensor> d = dense_gradients(y, {x, w});
  const Tensor of_w = reduce_sum(d[0] * d[0]), of_x = reduce_sum(d[1] * d[1]);
  const std::vector<Tensor> fetches{of_w, of_x, reduce_sum(w * dense_gradients(of_w, {w})[0]),
                                    reduce_sum(x * dense_gradients(of_x, {x})[0])};
  const std::vector<float> xs{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9},
      ws{1, -2, 3, -4, 5, -6, 7, -8};
  Session session(g, backend_);
  session.run(fetches, std::vector<Feed>{{x, xs}, {w, ws}});
  // The place holds the corner of x, under the last weight of each channel.
  EXPECT_EQ(session.read(of_w), std::vector<float>{4 * 4 + 8 * 8});
  EXPECT_EQ(session.read(of_x), std::vector<float>{2});
  EXPECT_EQ(session.read(fetches[2]), std::vector<float>{2 * (4 * 4 + 8 * 8)});
  EXPECT_EQ(session.read(fetches[3]), std::vector<float>{2 * 2});
}

TEST(WindowsBits, DoNotDependOnTheThreads) {
  Random random(3);
  const std::vector<float> values = floats(random.array({3, 5, 20, 21}, -1, 1)),
                           weights = floats(random.array({7, 5, 3, 3}, -1, 1));
  Graph g;
  const Tensor x = g.placeholder("x", {3, 5, 20, 21}), w = g.placeholder("w", {7, 5, 3, 3});
  const Tensor y = max_pool_2d(convolution_2d(x, w, {.padding = 1}), 3, {.stride = 2});
  std::vector<Tensor> fetches = dense_gradients(reduce_sum(y * y), {x, w});
  fetches.push_back(y);
  const std::vector<Feed> feeds{{x, values}, {w, weights}};
  const auto with = [&](int threads) {
    Session session(g, cpu(threads));
    session.run(fetches, feeds);
    std::vector<float> all;
    for (const Tensor& fetch : fetches) {
      const std::vector<float> part = session.read(fetch);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  };
  const std::vector<float> expected = with(1);
  EXPECT_TRUE(identical(with(2), expected));
  EXPECT_TRUE(identical(with(7), expected));
}

}  // namespace
}  // namespace unroll::test
