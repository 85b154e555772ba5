/// Softmax and its logarithm over the last dimension.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

const std::int64_t kClasses[] = {1,   2,   3,   4,   5,   7,   8,    9,    31,   32,  33,
                                 127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 4099};

/// x - max is rounded (|x| < 16: half an ulp there is 8 ulps of 1), e^x and ln are within 2 ulp,
/// and a sum of n positive terms has an error of at most n / 2 ulps, in practice sqrt(n).
double forward_ulps(std::int64_t classes) {
  return 12 + std::sqrt(double(classes));
}

class SoftmaxKernel : public OnEachBackend {};

TEST_P(SoftmaxKernel, ForwardMatchesFloat64) {
  Random random(8);
  for (const std::int64_t rows : {1, 3, 33})
    for (const std::int64_t classes : kClasses)
      for (const bool log : {false, true}) {
        SCOPED_TRACE(::testing::Message() << rows << " x " << classes << (log ? " log" : ""));
        const Reals x = random.array({rows, classes}, -8, 8);
        const Reals expected = log ? reference::log_softmax(x) : reference::softmax(x);
        const View y = memory_->out({rows, classes});
        backend_->softmax({.x = memory_->in(x), .y = y, .log = log});
        EXPECT_TRUE(close(memory_->get(y), expected.values, forward_ulps(classes)));
        finish_case();
      }
}

TEST_P(SoftmaxKernel, RowsNeedNoAlignment) {
  Random random(11);
  for (const std::int64_t classes : {4, 128, 256, 1024}) {
    SCOPED_TRACE(classes);
    const Reals x = random.array({3, classes}, -8, 8);
    memory_->shift_by(1);
    const View x_view = memory_->in(x), y = memory_->out({3, classes});
    backend_->softmax({.x = x_view, .y = y});
    EXPECT_TRUE(close(memory_->get(y), reference::softmax(x).values, forward_ulps(classes)));
    finish_case();
  }
}

TEST_P(SoftmaxKernel, SmallProbabilitiesKeepTheirRelativeAccuracy) {
  Random random(9);
  const Reals x = random.array({3, 257}, -30, 30);
  const Reals expected = reference::softmax(x);
  const View y = memory_->out({3, 257});
  backend_->softmax({.x = memory_->in(x), .y = y});
  // x - max < 64 is rounded to 32 ulps of 1, which is the relative error of its exponential.
  EXPECT_TRUE(
      close_to_sums(memory_->get(y), expected.values, 32 + forward_ulps(257), expected.values));
}

TEST_P(SoftmaxKernel, LargeAndInfiniteLogitsDoNotOverflow) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> x{1e4F, 1e4F, -1e4F, -kInf, -3e38F, -3e38F, -kInf, -kInf};
  const View y = memory_->out({2, 4}), log_y = memory_->out({2, 4});
  backend_->softmax({.x = memory_->in(x, {2, 4}), .y = y});
  backend_->softmax({.x = memory_->in(x, {2, 4}), .y = log_y, .log = true});
  EXPECT_TRUE(close(memory_->get(y), {0.5, 0.5, 0, 0, 0.5, 0.5, 0, 0}, 2));
  const double half = -std::log(2.0), inf = double(kInf);
  // ln 2 is added to logits of size 2e4, then of size 3e38, where it disappears.
  const std::vector<float> actual = memory_->get(log_y);
  EXPECT_TRUE(
      close<float>({actual.begin(), actual.begin() + 4}, {half, half, -2e4 + half, -inf}, 4));
  EXPECT_EQ(actual[6], -kInf);
  EXPECT_EQ(actual[7], -kInf);
}

TEST_P(SoftmaxKernel, ARowWithANanIsNan) {
  for (const std::int64_t classes : {1, 16, 17, 257, 1025})
    for (const std::int64_t where : {std::int64_t{0}, classes / 2, classes - 1})
      for (const bool log : {false, true}) {
        SCOPED_TRACE(::testing::Message() << classes << " at " << where << (log ? " log" : ""));
        std::vector<float> x(std::size_t(3 * classes), 1.0F);
        x[std::size_t(classes + where)] = std::nanf("");
        const View y = memory_->out({3, classes});
        backend_->softmax({.x = memory_->in(x, {3, classes}), .y = y, .log = log});
        const std::vector<float> values = memory_->get(y);
        for (std::size_t k = 0; k < values.size(); ++k)
          EXPECT_EQ(std::isnan(values[k]), std::int64_t(k) / classes == 1) << k;
        finish_case();
      }
}

TEST_P(SoftmaxKernel, GradientMatchesFloat64) {
  Random random(10);
  for (const std::int64_t rows : {1, 3, 33})
    for (const std::int64_t classes : kClasses)
      for (const bool log : {false, true}) {
        SCOPED_TRACE(::testing::Message() << rows << " x " << classes << (log ? " log" : ""));
        const Reals logits = random.array({rows, classes}, -3, 3);
        const Reals y(
            reference::Dims{rows, classes},
            doubles(floats(log ? reference::log_softmax(logits) : reference::softmax(logits))));
        const Reals dy = random.array({rows, classes}, -1, 1);
        Reals expected({rows, classes}), magnitude({rows, classes});
        for (std::int64_t m = 0; m < rows; ++m) {
          double sum = 0, size = 0;
          for (std::int64_t v = 0; v < classes; ++v) {
            sum += dy.at(m, v) * (log ? 1 : y.at(m, v));
            size += std::abs(dy.at(m, v) * (log ? 1 : y.at(m, v)));
          }
          for (std::int64_t v = 0; v < classes; ++v) {
            const double p = log ? std::exp(y.at(m, v)) : y.at(m, v);
            expected.at(m, v) = log ? dy.at(m, v) - p * sum : p * (dy.at(m, v) - sum);
            magnitude.at(m, v) =
                log ? std::abs(dy.at(m, v)) + p * size : p * (std::abs(dy.at(m, v)) + size);
          }
        }
        const View dx = memory_->out({rows, classes});
        backend_->softmax_gradient(
            {.y = memory_->in(y), .dy = memory_->in(dy), .dx = dx, .log = log});
        // About sqrt(classes) roundings of the sum and a few more around it. For the logarithm, e^y
        // of y up to 16 enters with its rounding, because y is an input here.
        EXPECT_TRUE(close_to_sums(memory_->get(dx), expected.values, 6 + std::sqrt(double(classes)),
                                  magnitude.values));
        finish_case();
      }
}

UNROLL_FOR_EACH_BACKEND(SoftmaxKernel);

std::vector<GraphCase> softmax_cases() {
  std::vector<GraphCase> all;
  for (const Dims& dims : {Dims{3, 33}, Dims{7}, Dims{2, 3, 5}, Dims{4, 1}}) {
    all.push_back({.name = "softmax",
                   .operands = {{dims}},
                   .build = [](const auto& x) { return softmax(x[0]); },
                   .reference = [](const auto& x) { return reference::softmax(x[0]); },
                   .ulps = 8});
    all.push_back({.name = "log_softmax",
                   .operands = {{dims}},
                   .build = [](const auto& x) { return log_softmax(x[0]); },
                   .reference = [](const auto& x) { return reference::log_softmax(x[0]); },
                   .ulps = 8});
  }
  return all;
}

class SoftmaxOps : public OnEachBackend {};

// Values as in the kernel tests with |x| < 2; a gradient adds a sum over at most 33 terms.
TEST_P(SoftmaxOps, ValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : softmax_cases()) check_graph_case(test, backend_);
}

// The lecture's cost, -y log(softmax(z)): probabilities of e^-1000 and e^-2000 underflow to 0.
TEST_P(SoftmaxOps, TheLogarithmOfASoftmaxDoesNotUnderflow) {
  Random random(12);
  struct Row {
    std::vector<double> y, z;
  };
  std::vector<Row> rows;
  for (int hot = 0; hot < 3; ++hot) {
    Row row{{0, 0, 0}, {1000, 0, -1000}};
    row.y[std::size_t(hot)] = 1;
    rows.push_back(row);
  }
  rows.push_back({{0.25, 0.25, 0.5}, {-3, 90, 88}});
  for (const Row& row : rows) {
    const Reals y({1, 3}, row.y), z({1, 3}, row.z);
    Graph g;
    const Tensor yt = g.placeholder("y", {1, 3}), zt = g.placeholder("z", {1, 3});
    const Tensor p = softmax(zt);
    const Tensor cost = -reduce_sum(yt * log(p));
    const Tensor slope = dense_gradients(cost, {zt})[0];
    const std::vector<float> yv = floats(y), zv = floats(z);
    Session session(g, backend_);
    session.run({cost, slope, p}, {{yt, yv}, {zt, zv}});
    const auto loss = [&](const ComplexArray& at) {
      return -reference::weighted_sum(y, reference::log_softmax(at));
    };
    // z is exact; subtracting the maximum and the logarithm rounds twice in values up to 2000.
    EXPECT_TRUE(close(session.read(cost), {loss(ComplexArray(z)).real()}, 2));
    const std::vector<Reals> slopes = reference::complex_step(
        {z}, [&](const std::vector<ComplexArray>& x) { return loss(x[0]); });
    EXPECT_TRUE(close(session.read(slope), slopes[0].values, 4));
    EXPECT_TRUE(close(session.read(p), reference::softmax(z).values, 4));  // itself as ever
  }
}

TEST(SoftmaxGraph, OnlyTheLogarithmOfASoftmaxIsReplaced) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3}), p = softmax(x);
  const std::size_t nodes = g.nodes().size();
  const Tensor y = log(p);
  EXPECT_EQ(g.nodes().size(), nodes + 1);
  EXPECT_EQ(y.node().inputs, std::vector<Tensor>{x});
  EXPECT_EQ(log(y).node().inputs, std::vector<Tensor>{y});  // log_softmax is no softmax
  EXPECT_EQ(log(p * 2).node().inputs[0].node().inputs, std::vector<Tensor>{p});
  EXPECT_THROW(log(Tensor()), std::invalid_argument);
}

UNROLL_FOR_EACH_BACKEND(SoftmaxOps);

TEST(SoftmaxShapes, AreChecked) {
  Graph g;
  const Tensor ids = g.placeholder("ids", {3, 4}, DType::kInt32);
  EXPECT_THROW(softmax(ids), std::invalid_argument);
  EXPECT_THROW(log_softmax(ids), std::invalid_argument);
  EXPECT_EQ(softmax(g.placeholder("x", {kOpen, 4})).shape(), (Shape{kOpen, 4}));
}

}  // namespace
}  // namespace unroll::test
