/// Decoders against float64: what they say, losses, costs and gradients; and that a linear one
/// learns the least squares.
#include "host/models/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "host/data/examples.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/reference_training.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

struct DecoderCase {
  std::int64_t rows, inputs, outputs;
  bool weighted = false;
  LossReduction reduction = LossReduction::kMean;
  bool tied = false;
};

const DecoderCase kCases[] = {
    {1, 1, 2},
    {5, 3, 2, true},
    {31, 9, 33, true, LossReduction::kTime},
    {32, 3, 257, false, LossReduction::kTime},
    {33, 2, 255, true},
    {257, 4, 3},
    {7, 6, 5, false, LossReduction::kMean, true},
};

std::string describe(const DecoderCase& c) {
  return "M=" + std::to_string(c.rows) + " R=" + std::to_string(c.inputs) +
         " outputs=" + std::to_string(c.outputs) + (c.weighted ? " weighted" : "") +
         (c.reduction == LossReduction::kTime ? " over time" : "") + (c.tied ? " tied" : "");
}

constexpr std::int64_t kDecoderBatch = 4;  // N

/// Random h, weight, bias and weights of rows.
struct DecoderData {
  Reals h, weight, bias, rows;

  DecoderData(const DecoderCase& c, Random& random)
      : h(random.array({c.rows, c.inputs}, -1, 1)),
        weight(random.array({c.outputs, c.inputs}, -1, 1)),
        bias(random.array({c.outputs}, -1, 1)),
        rows(random.array({c.rows}, 0.25, 2)) {
    if (!c.weighted) rows.values.assign(rows.values.size(), 1);
  }
};

/// A graph with a decoder, and what it is fed with.
template <typename MakeDecoder>
struct DecoderGraph {
  Graph graph;
  Tensor h, targets, rows, weight, bias;
  DecoderLoss loss;
  Tensor output;
  std::vector<Tensor> slopes;  // of h, weight, bias

  DecoderGraph(const DecoderCase& c, const Shape& target_shape, DType target_type,
               MakeDecoder make) {
    h = graph.placeholder("h", {c.rows, c.inputs});
    targets = graph.placeholder("targets", target_shape, target_type);
    if (c.weighted) rows = graph.placeholder("rows", {c.rows});
    if (c.tied) weight = graph.variable("table", {c.outputs, c.inputs}, constant(0));
    const auto decoder = make(graph, DecoderShape{c.inputs, c.outputs}, weight);
    if (!c.tied) weight = graph.variable(kDecoder, {c.outputs, c.inputs}, uniform(-0.1, 0.1));
    bias = graph.variable(kDecoderBias, {c.outputs}, constant(0));
    loss = decoder.loss(h, targets, rows, {.reduction = c.reduction, .batch = kDecoderBatch});
    output = decoder.output(h);
    slopes = dense_gradients(loss.cost, {h, weight, bias});
  }

  template <typename Target>
  std::unique_ptr<Session> run(const DecoderData& data, const std::vector<Target>& target_values,
                               const std::shared_ptr<Backend>& backend) {
    auto session = std::make_unique<Session>(graph, backend);
    session->variables().template write<float>(weight.name(), floats(data.weight));
    session->variables().template write<float>(bias.name(), floats(data.bias));
    const std::vector<float> h_values = floats(data.h), row_values = floats(data.rows);
    std::vector<Feed> feeds{{h, h_values}, {targets, target_values}};
    if (rows) feeds.emplace_back(rows, row_values);
    std::vector<Tensor> fetches{loss.cost, loss.loss, output};
    if (loss.hit) fetches.push_back(loss.hit);
    fetches.insert(fetches.end(), slopes.begin(), slopes.end());
    session->run(fetches, feeds);
    return session;
  }
};

/// The factor of the summed loss.
double reduction_factor(const DecoderCase& c, double weights) {
  return c.reduction == LossReduction::kMean ? 1 / weights : 1 / double(kDecoderBatch);
}

class Decoders : public OnEachBackend {
 protected:
  template <typename Run>
  void expect_slopes(const Run& graph, const Session& session, const std::vector<Reals>& expected,
                     double ulps) {
    for (std::size_t k = 0; k < expected.size(); ++k) {
      SCOPED_TRACE("slope " + std::to_string(k));
      EXPECT_TRUE(close(session.read(graph.slopes[k]), expected[k].values, ulps));
    }
  }
};
UNROLL_FOR_EACH_BACKEND(Decoders);

TEST_P(Decoders, SoftmaxIsThatOfTheReference) {
  for (const DecoderCase& c : kCases) {
    SCOPED_TRACE(describe(c));
    Random random(1);
    const DecoderData data(c, random);
    std::vector<std::int32_t> targets =
        random.integers(std::size_t(c.rows), 0, std::int32_t(c.outputs));
    if (c.rows > 1) targets[std::size_t(c.rows / 2)] = kIgnoredId;
    const reference::LossOptions how{.mean = c.reduction == LossReduction::kMean,
                                     .scale = 1 / double(kDecoderBatch)};
    const auto reference = [&](const auto& h, const auto& weight, const auto& bias) {
      return reference::softmax_cross_entropy(h, weight, bias, targets, data.rows.values, how);
    };
    const auto expected = reference(data.h, data.weight, data.bias);
    const std::vector<Reals> slopes = reference::complex_step(
        {data.h, data.weight, data.bias}, [&](const std::vector<reference::Array<Complex>>& p) {
          return reference(p[0], p[1], p[2]).loss;
        });

    DecoderGraph graph(c, {c.rows}, DType::kInt32,
                       [](Graph& g, const DecoderShape& shape, Tensor tied) {
                         return SoftmaxDecoder(g, shape, {}, tied);
                       });
    const auto session = graph.run(data, targets, backend_);
    // Roundings: a sum over R products, one over the outputs' exponentials, each like a random
    // walk, and some of a logarithm; those of a cost add over its rows.
    const double ulps = 8 + 2 * std::sqrt(double(c.inputs)) + std::sqrt(double(c.outputs));
    const double size = std::sqrt(double(c.inputs));  // of a logit
    std::vector<double> losses, hits = expected.hit;
    for (const double log_prob : expected.log_prob) losses.push_back(-log_prob);
    EXPECT_TRUE(close(session->read(graph.loss.loss), losses, ulps, size));
    EXPECT_EQ(doubles(session->read(graph.loss.hit)), hits);
    EXPECT_TRUE(close(session->read(graph.loss.cost), {expected.loss},
                      ulps * std::sqrt(double(c.rows)), size));
    expect_slopes(graph, *session, slopes, 2 * ulps * std::sqrt(double(c.rows)));
    const Reals log_prob =
        reference::log_softmax(reference::zip(reference::matmul(data.h, data.weight, false, true),
                                              data.bias, [](double a, double b) { return a + b; }));
    EXPECT_TRUE(close(session->read(graph.output), log_prob.values, ulps, size));
  }
}

TEST_P(Decoders, LinearIsThatOfTheReference) {
  for (const DecoderCase& c : kCases) {
    if (c.tied) continue;  // only a softmax may be
    SCOPED_TRACE(describe(c));
    Random random(2);
    const DecoderData data(c, random);
    const Reals targets = random.array({c.rows, c.outputs}, -2, 2);
    double weights = 0;
    for (const double w : data.rows.values) weights += w;
    const auto output = [&](const auto& h, const auto& weight, const auto& bias) {
      return reference::zip(reference::matmul(h, weight, false, true), bias,
                            [](auto a, auto b) { return a + b; });
    };
    const auto row_loss = [&](const auto& y, std::int64_t row) {
      auto sum = y.at(row, 0) * 0.0;
      for (std::int64_t k = 0; k < c.outputs; ++k) {
        const auto error = y.at(row, k) - targets.at(row, k);
        sum += error * error / double(c.outputs);
      }
      return sum;
    };
    const auto cost = [&](const auto& y) {
      auto sum = y.at(0, 0) * 0.0;
      for (std::int64_t row = 0; row < c.rows; ++row)
        sum += data.rows.values[std::size_t(row)] * row_loss(y, row);
      return sum * reduction_factor(c, weights);
    };
    const Reals y = output(data.h, data.weight, data.bias);
    const std::vector<Reals> slopes = reference::complex_step(
        {data.h, data.weight, data.bias}, [&](const std::vector<reference::Array<Complex>>& p) {
          return cost(output(p[0], p[1], p[2]));
        });

    DecoderGraph graph(
        c, {c.rows, c.outputs}, DType::kFloat32,
        [](Graph& g, const DecoderShape& shape, Tensor) { return LinearDecoder(g, shape); });
    EXPECT_FALSE(graph.loss.hit);
    const auto session = graph.run(data, floats(targets), backend_);
    const double ulps = 8 + 2 * std::sqrt(double(c.inputs)) + std::sqrt(double(c.outputs));
    const double size = 2 + std::sqrt(double(c.inputs));  // of an error
    std::vector<double> losses;
    for (std::int64_t row = 0; row < c.rows; ++row) losses.push_back(row_loss(y, row));
    EXPECT_TRUE(close(session->read(graph.output), y.values, ulps, size));
    EXPECT_TRUE(close(session->read(graph.loss.loss), losses, ulps, size * size));
    EXPECT_TRUE(close(session->read(graph.loss.cost), {cost(y)}, ulps * std::sqrt(double(c.rows)),
                      size * size));
    expect_slopes(graph, *session, slopes, 2 * ulps * std::sqrt(double(c.rows)));
  }
}

TEST_P(Decoders, QuantilesLoseThePinballLossOfTheReference) {
  for (const DecoderCase& c : kCases) {
    if (c.tied) continue;  // only a softmax may be
    const std::vector<double> quantiles = {0.1, 0.5, 0.875};
    SCOPED_TRACE(describe(c));
    Random random(3);
    DecoderCase wide = c;
    wide.outputs = 3 * c.outputs;  // all quantiles of one value do not lie side by side
    const DecoderData data(wide, random);
    const Reals targets = random.array({c.rows, c.outputs}, -2, 2);
    double weights = 0;
    for (const double w : data.rows.values) weights += w;
    const auto output = [&](const auto& h, const auto& weight, const auto& bias) {
      return reference::zip(reference::matmul(h, weight, false, true), bias,
                            [](auto a, auto b) { return a + b; });
    };
    const auto row_loss = [&](const auto& y, std::int64_t row) {
      auto sum = y.at(row, 0) * 0.0;
      for (std::int64_t k = 0; k < c.outputs; ++k)
        for (std::int64_t q = 0; q < 3; ++q) {
          const auto e = targets.at(row, k) - y.at(row, q * c.outputs + k);
          const double level = quantiles[std::size_t(q)];
          sum += (reference::real(e) > 0 ? level : level - 1) * e / double(3 * c.outputs);
        }
      return sum;
    };
    const auto cost = [&](const auto& y) {
      auto sum = y.at(0, 0) * 0.0;
      for (std::int64_t row = 0; row < c.rows; ++row)
        sum += data.rows.values[std::size_t(row)] * row_loss(y, row);
      return sum * reduction_factor(c, weights);
    };
    const Reals y = output(data.h, data.weight, data.bias);
    const std::vector<Reals> slopes = reference::complex_step(
        {data.h, data.weight, data.bias}, [&](const std::vector<reference::Array<Complex>>& p) {
          return cost(output(p[0], p[1], p[2]));
        });

    DecoderGraph graph(wide, {c.rows, c.outputs}, DType::kFloat32,
                       [&](Graph& g, const DecoderShape& shape, Tensor) {
                         return QuantileDecoder(g, {shape.inputs, c.outputs}, quantiles);
                       });
    EXPECT_FALSE(graph.loss.hit);
    const auto session = graph.run(data, floats(targets), backend_);
    const double ulps = 8 + 2 * std::sqrt(double(c.inputs)) + std::sqrt(double(wide.outputs));
    const double size = 2 + std::sqrt(double(c.inputs));  // of an error
    std::vector<double> losses;
    for (std::int64_t row = 0; row < c.rows; ++row) losses.push_back(row_loss(y, row));
    EXPECT_TRUE(close(session->read(graph.output), y.values, ulps, size));
    EXPECT_TRUE(close(session->read(graph.loss.loss), losses, ulps, size));
    EXPECT_TRUE(
        close(session->read(graph.loss.cost), {cost(y)}, ulps * std::sqrt(double(c.rows)), size));
    expect_slopes(graph, *session, slopes, 2 * ulps * std::sqrt(double(c.rows)));
  }
}

/// The solution of a x = b by elimination with pivots; a [K, K].
std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t row = k; row < n; ++row)
      if (std::abs(a[row][k]) > std::abs(a[pivot][k])) pivot = row;
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    for (std::size_t row = k + 1; row < n; ++row) {
      const double factor = a[row][k] / a[k][k];
      for (std::size_t col = k; col < n; ++col) a[row][col] -= factor * a[k][col];
      b[row] -= factor * b[k];
    }
  }
  for (std::size_t k = n; k-- > 0;) {
    for (std::size_t col = k + 1; col < n; ++col) b[k] -= a[k][col] * b[col];
    b[k] /= a[k][k];
  }
  return b;
}

TEST_P(Decoders, ALinearModelLearnsTheLeastSquares) {
  constexpr std::int64_t kRows = 40, kInputs = 3, kOutputs = 2;
  Random random(7);
  const Reals x = random.array({kRows, kInputs}, -1, 1);
  const Reals y = random.array({kRows, kOutputs}, -2, 2);
  const Reals rows = random.array({kRows}, 0.25, 2);

  Graph graph;
  const Tensor h = graph.placeholder("x", {kOpen, kInputs});
  const Tensor targets = graph.placeholder("y", {kOpen, kOutputs});
  const Tensor row_weights = graph.placeholder("rows", {kOpen});
  const LinearDecoder decoder(graph, {kInputs, kOutputs});
  const DecoderLoss loss = decoder.loss(h, targets, row_weights, {});
  const Tensor step = GradientDescentOptimizer(1).minimize(loss.cost);
  Session session(graph, backend_, 3);
  const std::vector<float> xs = floats(x), ys = floats(y), ws = floats(rows);
  const std::vector<Feed> feeds{{h, std::span<const float>(xs), Shape{kRows, kInputs}},
                                {targets, std::span<const float>(ys), Shape{kRows, kOutputs}},
                                {row_weights, ws}};
  // A step shrinks what is left of the distance by a quarter at least: the moments of x are 1/3.
  for (int k = 0; k < 200; ++k) session.run(std::span(&step, 1), feeds);
  const std::vector<float> weight = session.variables().read<float>(kDecoder);
  const std::vector<float> bias = session.variables().read<float>(kDecoderBias);

  for (std::int64_t output = 0; output < kOutputs; ++output) {
    std::vector<std::vector<double>> normal(kInputs + 1, std::vector<double>(kInputs + 1));
    std::vector<double> right(kInputs + 1);
    for (std::int64_t row = 0; row < kRows; ++row) {
      const auto feature = [&](std::size_t k) {
        return k < kInputs ? x.at(row, std::int64_t(k)) : 1;
      };
      const double w = rows.values[std::size_t(row)];
      for (std::size_t a = 0; a <= kInputs; ++a) {
        for (std::size_t b = 0; b <= kInputs; ++b) normal[a][b] += w * feature(a) * feature(b);
        right[a] += w * feature(a) * y.at(row, output);
      }
    }
    const std::vector<double> expected = solve(normal, right);
    std::vector<float> got(weight.begin() + output * kInputs,
                           weight.begin() + (output + 1) * kInputs);
    got.push_back(bias[std::size_t(output)]);
    // Where the gradient is below its own roundings: some 40 of them, over a curvature of 1/4.
    EXPECT_TRUE(close(got, expected, 160));
  }
}

}  // namespace
}  // namespace unroll::test
