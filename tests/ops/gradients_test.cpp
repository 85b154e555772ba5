/// Gradients of whole graphs: sums over several uses, chains, and where no gradient flows.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class Gradients : public OnEachBackend {};

Complex tanh_of(Complex x) {
  return std::tanh(x);
}
Complex sum_of(Complex a, Complex b) {
  return a + b;
}
Complex product_of(Complex a, Complex b) {
  return a * b;
}

TEST_P(Gradients, ValuesUsedSeveralTimesSumTheirGradients) {
  check_graph_case({.name = "x^3 + x tanh x",
                    .operands = {{{3, 5}}},
                    .build = [](const auto& x) { return x[0] * x[0] * x[0] + x[0] * tanh(x[0]); },
                    .reference =
                        [](const auto& x) {
                          return reference::map(
                              x[0], [](Complex v) { return v * v * v + v * std::tanh(v); });
                        },
                    .ulps = 6,  // products up to 8
                    .scale = 8,
                    .gradient_ulps = 8,
                    .gradient_scale = 8},
                   backend_);
}

TEST_P(Gradients, LongChains) {
  // 20 times x = tanh(x) + 0.1 x: three roundings each, passed on with a factor near 1.
  check_graph_case({.name = "chain",
                    .operands = {{{7}}},
                    .build =
                        [](const auto& x) {
                          Tensor y = x[0];
                          for (int k = 0; k < 20; ++k) y = tanh(y) + y * 0.1;
                          return y;
                        },
                    .reference =
                        [](const auto& x) {
                          return reference::map(x[0], [](Complex y) {
                            for (int k = 0; k < 20; ++k) y = std::tanh(y) + y * 0.1;
                            return y;
                          });
                        },
                    .ulps = 60,
                    .gradient_ulps = 60},
                   backend_);
}

TEST_P(Gradients, DiamondsAndDeadEnds) {
  // y = a b + b c with a = tanh x, b = x w, c = sum(a); b also has an unused branch.
  check_graph_case(
      {.name = "diamond",
       .operands = {{{4, 3}}, {{3, 3}}},
       .build =
           [](const auto& x) {
             const Tensor a = tanh(x[0]), b = matmul(x[0], x[1]);
             exp(b);
             return a * b + b * reduce_sum(a, 1, {.keep_dims = true});
           },
       .reference =
           [](const auto& x) {
             const ComplexArray a = reference::map(x[0], tanh_of);
             const ComplexArray b = reference::matmul(x[0], x[1]);
             return reference::zip(
                 reference::zip(a, b, product_of),
                 reference::zip(b, reference::reduce_sum(a, {false, true}), product_of), sum_of);
           },
       .ulps = 10,  // ten products and sums of values up to 36
       .scale = 36,
       .gradient_ulps = 30,
       .gradient_scale = 36},
      backend_);
}

TEST_P(Gradients, MatmulOfRankThreeSharesItsMatrix) {
  check_graph_case({.name = "rank 3",
                    .operands = {{{4, 2, 3}}, {{3, 3}}},
                    .build =
                        [](const auto& x) {
                          return matmul(tanh(matmul(x[0], x[1])), x[1], {.transpose_b = true});
                        },
                    .reference =
                        [](const auto& x) {
                          const ComplexArray y =
                              reference::map(reference::matmul(x[0], x[1]), tanh_of);
                          return reference::matmul(y, x[1], false, true);
                        },
                    .ulps = 8,
                    .scale = 6,
                    .gradient_ulps = 24,  // eight rows of three products
                    .gradient_scale = 12},
                   backend_);
}

TEST_P(Gradients, BroadcastOperandsOfAnLstmLikeBlock) {
  // logistic(x W^T + b) tanh(s) + (1 - logistic(...)) with b [H] and s [].
  check_graph_case({.name = "gate",
                    .operands = {{{5, 3}}, {{4, 3}}, {{4}}, {{}}},
                    .build =
                        [](const auto& x) {
                          const Tensor gate =
                              logistic(matmul(x[0], x[1], {.transpose_b = true}) + x[2]);
                          return gate * tanh(x[3]) + (1 - gate);
                        },
                    .reference =
                        [](const auto& x) {
                          const ComplexArray z = reference::zip(
                              reference::matmul(x[0], x[1], false, true), x[2], sum_of);
                          return reference::zip(z, x[3], [](Complex a, Complex s) {
                            const Complex gate = reference::logistic(a);
                            return gate * std::tanh(s) + (1.0 - gate);
                          });
                        },
                    .ulps = 16,
                    .gradient_ulps = 40,  // a sum of 20 for s
                    .gradient_scale = 2},
                   backend_);
}

TEST_P(Gradients, StopGradientBlocksOnePathAlone) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  const Tensor y = x * stop_gradient(x) + x;
  const std::vector<Tensor> fetches{y, dense_gradients(reduce_sum(y), {x})[0]};
  Session session(g, backend_);
  const std::vector<float> values{2, -3, 4};
  const std::vector<Feed> feeds{{x, values}};
  session.run(fetches, feeds);
  EXPECT_EQ(session.read(y), (std::vector<float>{6, 6, 20}));
  EXPECT_EQ(session.read(fetches[1]), (std::vector<float>{3, -2, 5}));
}

TEST_P(Gradients, WhatDoesNotEnterTheCostHasNone) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3}), other = g.placeholder("other", {4});
  const std::vector<Tensor> xs{x, other};
  const Tensor cost = reduce_sum(tanh(x));
  const std::vector<Gradient> sparse = gradients(cost, xs);
  EXPECT_TRUE(sparse[0]);
  EXPECT_FALSE(sparse[1]);
  const std::vector<Tensor> dense = dense_gradients(cost, xs);
  EXPECT_EQ(dense[1].shape(), Shape{4});
  const std::vector<float> nans(4, std::nanf(""));  // zeros, not the tensor times zero
  const std::vector<Feed> feeds{{other, nans}};
  const std::vector<Tensor> fetches{dense[1], other * 1};
  Session session(g, backend_);
  session.run(fetches, feeds);
  EXPECT_EQ(session.read(dense[1]), std::vector<float>(4, 0.0F));
}

TEST_P(Gradients, OfTheCostItselfIsOne) {
  Graph g;
  const Tensor x = g.placeholder("x", {1});
  const Tensor slope = dense_gradients(x, {x})[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope), std::vector<float>{1});
}

TEST_P(Gradients, OfIntermediateTensors) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  const Tensor h = x * 2;
  const Tensor slope = dense_gradients(reduce_sum(h * h + x), {h})[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope, {{x, std::vector<float>{1, 2, 3}}}),
            (std::vector<float>{4, 8, 12}));
}

TEST_P(Gradients, TiedWeightsSumTheirUses) {
  Graph g;
  const Tensor w = g.variable("w", {2, 2}, constant(1));
  const Tensor x = g.placeholder("x", {1, 2});
  const Tensor cost = reduce_sum(matmul(matmul(x, w), g.variable("w", {2, 2}, constant(1))));
  const Tensor slope = dense_gradients(cost, {w})[0];
  Session session(g, backend_);
  // cost = sum_ijk x_i w_ij w_jk; with w = 1: d/dw_ab = 2 x_a + sum_i x_i.
  EXPECT_EQ(session.evaluate(slope, {{x, std::vector<float>{1, 10}}}),
            (std::vector<float>{13, 13, 31, 31}));
}

UNROLL_FOR_EACH_BACKEND(Gradients);

TEST(GradientsArguments, TheCostHasOneElement) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  EXPECT_THROW(gradients(x, {x}), std::invalid_argument);
  EXPECT_NO_THROW(gradients(reduce_sum(x, kAllAxes, {.keep_dims = true}), {x}));
}

}  // namespace
}  // namespace unroll::test
