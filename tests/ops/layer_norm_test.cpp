/// Layer normalisation.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/graph_case.h"
#include "tests/support/reference.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

class LayerNorm : public OnEachBackend {};

TEST_P(LayerNorm, ValuesAndGradientsMatchTheReference) {
  for (const Dims& dims : {Dims{2}, Dims{3, 5}, Dims{4, 31}, Dims{3, 32}, Dims{2, 2, 33},
                           Dims{3, 255}, Dims{2, 256}, Dims{2, 257}})
    check_graph_case(
        {.name = "layer_norm " + to_string(shape_of(dims)),
         .operands = {{dims}, {{dims.back()}}, {{dims.back()}}},
         .build = [](const auto& x) { return layer_norm(x[0], x[1], x[2]); },
         .reference = [](const auto& x) { return reference::layer_norm(x[0], x[1], x[2]); },
         // Two means of n terms, a logarithm and an exponential, factors up to 4.
         .ulps = 32,
         .gradient_ulps = 128},
        backend_);
}

// 1e-5 is what counts where all elements are equal or nearly so.
TEST_P(LayerNorm, EqualElementsGiveTheBias) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3}), gain = g.constant(2, {3}), bias = g.constant(7, {3});
  Session session(g, backend_);
  const std::vector<float> y = session.evaluate(
      layer_norm(x, gain, bias), {{x, std::vector<float>{4, 4, 4, 0, 0.003F, -0.003F}}});
  for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(y[k], 7) << k;
  // 0.003 / sqrt(6e-6 + 1e-5) = 0.75
  EXPECT_NEAR(y[4], 8.5, 1e-4);
  EXPECT_NEAR(y[5], 5.5, 1e-4);
}

TEST_P(LayerNorm, NanStaysInItsRow) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3}), gain = g.constant(1, {3}), bias = g.constant(0, {3});
  Session session(g, backend_);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> y =
      session.evaluate(layer_norm(x, gain, bias), {{x, std::vector<float>{1, nan, 2, 1, 2, 3}}});
  for (std::size_t k = 0; k < y.size(); ++k) EXPECT_EQ(std::isnan(y[k]), k < 3) << k;
}

UNROLL_FOR_EACH_BACKEND(LayerNorm);

TEST(LayerNormShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 4}), four = g.placeholder("four", {4}),
               one = g.placeholder("one", {1}), ids = g.placeholder("ids", {4}, DType::kInt32);
  EXPECT_EQ(layer_norm(x, four, four).shape(), (Shape{kOpen, 4}));
  try {
    layer_norm(x, four, one);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "layer_norm: got the bias [1] for x [?, 4], expected one number for each element "
                 "of the last dimension");
  }
  EXPECT_THROW(layer_norm(x, x, four), std::invalid_argument);
  EXPECT_THROW(layer_norm(x, ids, four), std::invalid_argument);
  EXPECT_THROW(layer_norm(g.placeholder("scalar", {}), one, one), std::invalid_argument);
  EXPECT_THROW(layer_norm(Tensor(), four, four), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
