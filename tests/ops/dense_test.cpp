/// dense(): value and gradients against the reference, the names and shapes of its variables, and
/// what it refuses.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/temp_folder.h"
#include "unroll/gradients.h"
#include "unroll/layers.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class DenseTest : public OnEachBackend {};

// y = x W^T + b on [2, 3, 5] -> [2, 3, 4], and d sum(w y) with respect to x, W and b.
TEST_P(DenseTest, MatchesTheReference) {
  constexpr std::int64_t kInputs = 5, kUnits = 4;
  Random random(3);
  const std::vector<Reals> inputs{random.array({2, 3, kInputs}, -1, 1),
                                  random.array({kUnits, kInputs}, -1, 1),
                                  random.array({kUnits}, -1, 1)};
  const auto expected = [](const std::vector<ComplexArray>& at) {
    const ComplexArray rows({6, kInputs}, at[0].values);
    const ComplexArray y = reference::zip(reference::matmul(rows, at[1], false, true), at[2],
                                          [](Complex a, Complex b) { return a + b; });
    return ComplexArray({2, 3, kUnits}, y.values);
  };
  const ComplexArray value = expected({inputs.begin(), inputs.end()});
  const Reals weights = random.array(value.dims, -1, 1);

  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3, kInputs});
  const Tensor y = dense(x, kUnits, "layer");
  ASSERT_EQ(y.shape(), (Shape{kOpen, 3, kUnits}));
  const std::vector<Tensor> variables = g.variables();
  ASSERT_EQ(variables.size(), 2U);
  EXPECT_EQ(variables[0].name(), "layer.weight");
  EXPECT_EQ(variables[0].shape(), (Shape{kUnits, kInputs}));
  EXPECT_EQ(variables[1].name(), "layer.bias");
  EXPECT_EQ(variables[1].shape(), (Shape{kUnits}));
  EXPECT_EQ(g.trainable_variables(), variables);

  const Tensor w = g.constant(floats(weights), {2, 3, kUnits});
  const std::vector<Tensor> slopes =
      dense_gradients(reduce_sum(w * y), {x, variables[0], variables[1]});
  Session session(g, backend_);
  session.variables().write<float>("layer.weight", floats(inputs[1]));
  session.variables().write<float>("layer.bias", floats(inputs[2]));
  std::vector<Tensor> fetches = slopes;
  fetches.push_back(y);
  const std::vector<float> x_values = floats(inputs[0]);
  session.run(fetches, std::vector<Feed>{{x, x_values}});

  constexpr double kRoundings = kInputs + 1, kRows = 6;  // of an element; added up in a gradient
  EXPECT_TRUE(close(session.read(y), real(value), kRoundings, kRoundings));
  const std::vector<Reals> expected_slopes =
      reference::complex_step(inputs, [&](const std::vector<ComplexArray>& at) {
        return reference::weighted_sum(weights, expected(at));
      });
  for (std::size_t k = 0; k < slopes.size(); ++k)
    EXPECT_TRUE(close(session.read(slopes[k]), expected_slopes[k].values, kRows, kRows)) << k;
}

TEST_P(DenseTest, StartsAsAsked) {
  Graph g;
  const Tensor x = g.placeholder("x", {1, 3});
  const Tensor usual = dense(x, 2, "usual");
  const Tensor given = dense(x, 2, "given", {.weight = constant(2), .bias = constant(-1)});
  Session session(g, backend_);
  const std::vector<float> ones(3, 1);
  session.run({usual, given}, {{x, ones}});
  EXPECT_EQ(session.read(given), (std::vector<float>{5, 5}));
  EXPECT_EQ(session.variables().read<float>("usual.bias"), (std::vector<float>{0, 0}));
  for (const float weight : session.variables().read<float>("usual.weight")) {
    EXPECT_NE(weight, 0);
    EXPECT_LE(std::abs(weight), 1.0955F);  // sqrt(6 / (2 + 3))
  }
}

UNROLL_FOR_EACH_BACKEND(DenseTest);

TEST(Dense, LayersOfOneNameShareTheirVariables) {
  Graph g;
  dense(g.placeholder("x", {kOpen, 3}), 2, "layer");
  dense(g.placeholder("y", {4, 3}), 2, "layer");
  EXPECT_EQ(g.variables().size(), 2U);
}

TEST(Dense, RefusesWhatHasNoShape) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3});
  const auto error = [](const std::function<void()>& body) {
    return error_of<std::invalid_argument>(body);
  };
  EXPECT_EQ(error([] { dense({}, 2, "a"); }),
            "dense 'a': got an empty tensor, expected x [..., I]");
  EXPECT_EQ(error([&] {
              dense(g.placeholder("open", {3, kOpen}), 2, "a");
            }),
            "dense 'a': got x [3, ?], expected [..., I] with a fixed last dimension");
  EXPECT_EQ(error([&] { dense(g.constant(1), 2, "a"); }),
            "dense 'a': got x [], expected [..., I] with a fixed last dimension");
  EXPECT_EQ(error([&] {
              dense(g.placeholder("ids", {2, 3}, DType::kInt32), 2, "a");
            }),
            "dense 'a': got x of int32, expected float32");
  EXPECT_EQ(error([&] { dense(x, 0, "a"); }), "dense 'a': got 0 units, expected 1 or more");
  EXPECT_EQ(g.variables().size(), 0U);
  dense(x, 2, "a");
  EXPECT_EQ(error([&] { dense(x, 3, "a"); }),
            "variable 'a.weight': got shape [3, 3], expected [2, 3] as before");
}

}  // namespace
}  // namespace unroll::test
