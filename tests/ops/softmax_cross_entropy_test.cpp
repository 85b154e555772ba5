/// Decoder, softmax and cross-entropy in one node: chunks, row weights, ignored rows, gradients.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "tests/support/reference_training.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

struct LossCase {
  std::int64_t rows, hidden, classes, chunk_rows;
  bool weighted = false;
  std::int64_t ignored_id = -1;
  bool mean = false;
  double scale = 1;
};

std::string describe(const LossCase& c) {
  return "M=" + std::to_string(c.rows) + " H=" + std::to_string(c.hidden) +
         " V=" + std::to_string(c.classes) + " chunk=" + std::to_string(c.chunk_rows) +
         (c.weighted ? " weighted" : "") + " ignored=" + std::to_string(c.ignored_id) +
         (c.mean ? " mean" : " scale=" + std::to_string(c.scale));
}

// Chunks of one row, chunks that divide the rows and that do not, and chunks larger than the rows;
// every option separately and together; the ignored id outside the classes and among them.
const LossCase kCases[] = {
    {1, 1, 1, 1},
    {1, 5, 2, 256},
    {3, 1, 31, 1},
    {3, 33, 32, 3},
    {31, 5, 33, 3, true},
    {32, 32, 33, 256, false, 0},
    {33, 31, 257, 16, true, 7, true},
    {10, 8, 255, 3, false, -1, true},
    {257, 7, 33, 256, true, -1, false, 1.0 / 257},
    {256, 33, 256, 64, false, 255, false, 0.5},
    {20, 40, 1000, 7, true, -100, true},
    {9, 3, 4, 2, true, 2, true},
    // Rows of h and of logits with and without padding; classes that fill the reads of four of a
    // warp or a block, one more, one less; several such reads per thread, in blocks of the smallest
    // size, of the largest and of one between.
    {4, 1, 31, 4},
    {5, 8, 32, 4, true},
    {6, 9, 33, 2},
    {5, 650, 255, 3},
    {7, 8, 257, 3, false, -1, true},
    {3, 7, 1023, 2},
    {2, 8, 1024, 2},
    {5, 9, 1025, 4, true, -1, true},
    {130, 1, 513, 66},
    {3, 8, 6145, 2},
    {2, 1, 33001, 1},
};

struct LossData {
  Reals h, weight, bias;
  std::vector<std::int32_t> targets;
  std::vector<double> row_weights;  // empty: ones
};

LossData random_data(const LossCase& c, std::uint64_t seed) {
  Random random(seed);
  LossData data;
  data.h = random.array({c.rows, c.hidden}, -1, 1);
  // A size that keeps logits near 1 also for wide h, as the tolerances assume.
  const double size = std::min(1.0, std::sqrt(40 / double(c.hidden)));
  data.weight = random.array({c.classes, c.hidden}, -size, size);
  data.bias = random.array({c.classes}, -2, 2);
  data.targets = random.integers(std::size_t(c.rows), 0, std::int32_t(c.classes));
  for (std::size_t m = 0; m < data.targets.size(); ++m)
    if (m % 3 == 1) data.targets[m] = std::int32_t(c.ignored_id);
  if (c.weighted)
    for (std::int64_t m = 0; m < c.rows; ++m)
      data.row_weights.push_back(m % 5 == 3 ? 0 : random.uniform(0.25, 2));
  return data;
}

reference::LossOptions options_of(const LossCase& c) {
  return {.ignored_id = c.ignored_id, .mean = c.mean, .scale = c.scale};
}

/// d loss / d logits = w scale (p - one_hot(target)), from which the three gradients follow.
struct LossGradients {
  Reals dh, dweight, dbias;
  std::vector<double> dh_size, dweight_size, dbias_size;  // sums of absolute values
};

LossGradients expected_gradients(const LossCase& c, const LossData& data) {
  const auto size = [](double x) { return std::abs(x); };
  const Reals logits = reference::zip(reference::matmul(data.h, data.weight, false, true),
                                      data.bias, [](double a, double b) { return a + b; });
  const Reals p = reference::softmax(logits);
  double total = 0;
  for (std::size_t m = 0; m < data.targets.size(); ++m)
    if (data.targets[m] != c.ignored_id)
      total += data.row_weights.empty() ? 1 : data.row_weights[m];
  Reals d({c.rows, c.classes}), magnitude({c.rows, c.classes});
  for (std::int64_t m = 0; m < c.rows; ++m) {
    const std::size_t row = std::size_t(m);
    if (data.targets[row] == c.ignored_id) continue;
    const double w = data.row_weights.empty() ? 1 : data.row_weights[row];
    for (std::int64_t v = 0; v < c.classes; ++v) {
      const double hit = data.targets[row] == v ? 1 : 0;
      d.at(m, v) = w * (p.at(m, v) - hit) * (c.mean ? 1 / total : c.scale);
      magnitude.at(m, v) = w * (p.at(m, v) + hit) * (c.mean ? 1 / total : c.scale);
    }
  }
  LossGradients out;
  out.dh = reference::matmul(d, data.weight);
  out.dweight = reference::matmul(d, data.h, true);
  out.dbias = reference::reduce_sum(d, {true, false});
  out.dh_size = reference::matmul(magnitude, reference::map(data.weight, size)).values;
  out.dweight_size = reference::matmul(magnitude, reference::map(data.h, size), true).values;
  out.dbias_size = reference::reduce_sum(magnitude, {true, false}).values;
  return out;
}

/// Logits of H products of size 1 carry sqrt(H) roundings, which become relative errors of p; x -
/// max, e^, the sum over V classes and ln add about 12 + sqrt(V), as in softmax_test.
double row_ulps(const LossCase& c) {
  return 12 + std::sqrt(double(c.hidden)) + std::sqrt(double(c.classes));
}

class SoftmaxCrossEntropyKernel : public OnEachBackend {
 protected:
  struct Result {
    std::vector<float> loss, log_prob, hit, dh, dweight, dbias;
  };

  Result run(const LossCase& c, const LossData& data, bool gradient, bool rows_wanted = true) {
    const auto plan = backend_->softmax_cross_entropy_plan({.rows = c.rows,
                                                            .hidden = c.hidden,
                                                            .classes = c.classes,
                                                            .chunk_rows = c.chunk_rows,
                                                            .ignored_id = c.ignored_id,
                                                            .gradient = gradient});
    SoftmaxCrossEntropy args;
    args.h = memory_->in(data.h);
    args.weight = memory_->in(data.weight);
    args.bias = memory_->in(data.bias);
    args.targets = memory_->in(data.targets, {c.rows});
    if (c.weighted) args.row_weights = memory_->in(floats(data.row_weights), {c.rows});
    args.scale = float(c.scale);
    args.mean = c.mean;
    args.loss = memory_->out({1});
    if (rows_wanted) args.log_prob = memory_->out({c.rows});
    if (rows_wanted) args.hit = memory_->out({c.rows});
    if (gradient) args.dh = memory_->out({c.rows, c.hidden});
    if (gradient) args.dweight = memory_->out({c.classes, c.hidden});
    if (gradient) args.dbias = memory_->out({c.classes});
    args.scratch = memory_->raw(plan->scratch_bytes());
    plan->prepare(args.weight);
    plan->run(args);
    Result result;
    result.loss = memory_->get(args.loss);
    if (rows_wanted) result.log_prob = memory_->get(args.log_prob);
    if (rows_wanted) result.hit = memory_->get(args.hit);
    if (gradient) result.dh = memory_->get(args.dh);
    if (gradient) result.dweight = memory_->get(args.dweight);
    if (gradient) result.dbias = memory_->get(args.dbias);
    return result;
  }
};

TEST_P(SoftmaxCrossEntropyKernel, MatchesFloat64) {
  for (const LossCase& c : kCases)
    for (const bool gradient : {false, true}) {
      SCOPED_TRACE(describe(c) + (gradient ? " with gradient" : ""));
      const LossData data = random_data(c, 11);
      const auto expected = reference::softmax_cross_entropy(
          data.h, data.weight, data.bias, data.targets, data.row_weights, options_of(c));
      const Result actual = run(c, data, gradient);
      // The sum over M rows of size up to 10 rounds M times, effectively sqrt(M).
      const double factor = c.mean ? 1 : c.scale * std::sqrt(double(c.rows));
      EXPECT_TRUE(close(actual.loss, {expected.loss}, row_ulps(c) + std::sqrt(double(c.rows)),
                        std::max(1.0, factor)));
      EXPECT_TRUE(close(actual.log_prob, expected.log_prob, row_ulps(c)));
      EXPECT_EQ(doubles(actual.hit), expected.hit);
      if (gradient) {
        const LossGradients slopes = expected_gradients(c, data);
        // Errors of d carry over, and the sums of the products round relative to their size.
        const double d = row_ulps(c);
        EXPECT_TRUE(close_to_sums(actual.dh, slopes.dh.values, d + std::sqrt(double(c.classes)),
                                  slopes.dh_size));
        EXPECT_TRUE(close_to_sums(actual.dweight, slopes.dweight.values,
                                  d + std::sqrt(double(c.rows)), slopes.dweight_size));
        EXPECT_TRUE(close_to_sums(actual.dbias, slopes.dbias.values, d + std::sqrt(double(c.rows)),
                                  slopes.dbias_size));
      }
      finish_case();
    }
}

TEST_P(SoftmaxCrossEntropyKernel, AnyAddressWillDo) {
  for (const LossCase& c : {LossCase{9, 8, 37, 4, true}, {9, 7, 40, 4}, {5, 16, 64, 5}}) {
    SCOPED_TRACE(describe(c));
    const LossData data = random_data(c, 6);
    const Result expected = run(c, data, true);
    memory_->shift_by(1);
    const Result actual = run(c, data, true);
    memory_->shift_by(0);
    EXPECT_TRUE(close(actual.loss, doubles(expected.loss), row_ulps(c) + std::sqrt(double(c.rows)),
                      std::sqrt(double(c.rows))));
    EXPECT_TRUE(close(actual.log_prob, doubles(expected.log_prob), row_ulps(c)));
    const LossGradients slopes = expected_gradients(c, data);
    const double ulps = row_ulps(c) + std::sqrt(double(c.classes));
    EXPECT_TRUE(close_to_sums(actual.dh, slopes.dh.values, ulps, slopes.dh_size));
    EXPECT_TRUE(close_to_sums(actual.dweight, slopes.dweight.values, ulps, slopes.dweight_size));
    EXPECT_TRUE(close_to_sums(actual.dbias, slopes.dbias.values, ulps, slopes.dbias_size));
    finish_case();
  }
}

// Some classes are impossible, or all of them are.
TEST_P(SoftmaxCrossEntropyKernel, LogitsMayBeMinusInfinity) {
  const LossCase c{2, 1, 300, 2};
  LossData data = random_data(c, 4);
  data.weight = Reals(reference::Dims{300, 1});
  data.bias.values.assign(300, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(run(c, data, true).loss[0]));
  data.bias.values[17] = data.bias.values[299] = 2;
  data.targets = {17, 299};
  const Result actual = run(c, data, true);
  EXPECT_TRUE(close(actual.log_prob, {-std::log(2.0), -std::log(2.0)}, 2));
  EXPECT_EQ(actual.hit, (std::vector<float>{1, 0}));
  EXPECT_EQ(actual.dbias[0], 0.0F);
}

TEST_P(SoftmaxCrossEntropyKernel, RowResultsAreOptional) {
  const LossCase c{33, 8, 65, 16};
  const LossData data = random_data(c, 4);
  const Result with = run(c, data, true), without = run(c, data, true, false);
  EXPECT_TRUE(identical(without.loss, with.loss));
  EXPECT_TRUE(identical(without.dh, with.dh));
}

TEST_P(SoftmaxCrossEntropyKernel, ATargetOutsideTheClassesGivesNan) {
  for (const std::int32_t target : {-2, 33, 1000000, INT32_MIN, INT32_MAX})
    for (const bool mean : {false, true}) {
      SCOPED_TRACE(target);
      const LossCase c{5, 4, 33, 2, false, -1, mean};
      LossData data = random_data(c, 4);
      data.targets[3] = target;
      EXPECT_TRUE(std::isnan(run(c, data, false).loss[0]));
      EXPECT_TRUE(std::isnan(run(c, data, true).loss[0]));
      finish_case();
    }
}

TEST_P(SoftmaxCrossEntropyKernel, HitMeansTheFirstOfEqualClasses) {
  const LossCase c{4, 3, 40, 3};
  LossData data = random_data(c, 4);
  data.weight = Reals(reference::Dims{40, 3});
  data.bias = Reals(reference::Dims{40});
  data.bias.values[7] = data.bias.values[39] = 1;
  data.targets = {7, 39, 0, -1};
  EXPECT_EQ(run(c, data, true).hit, (std::vector<float>{1, 0, 0, 0}));
}

TEST_P(SoftmaxCrossEntropyKernel, LargeLogitsDoNotOverflow) {
  const LossCase c{2, 1, 3, 1};
  LossData data;
  data.h = Reals({2, 1}, {1000, -1000});
  data.weight = Reals({3, 1}, {10, 10, -10});
  data.bias = Reals({3}, {0, 0, 0});
  data.targets = {0, 0};
  const Result actual = run(c, data, true);
  EXPECT_TRUE(close(actual.log_prob, {-std::log(2.0), -20000}, 2));
  // Row 0: p = (1/2, 1/2, 0); row 1: p = (0, 0, 1).
  EXPECT_TRUE(close(actual.dbias, {-1.5, 0.5, 1}, 2));
}

UNROLL_FOR_EACH_BACKEND(SoftmaxCrossEntropyKernel);

/// Rounds to the 8 bits of bfloat16's significand.
Reals rounded(const Reals& x) {
  return reference::map(x, [](double value) {
    int exponent = 0;
    const double fraction = std::frexp(value, &exponent);
    return std::ldexp(std::round(fraction * 256) / 256, exponent);
  });
}

class SoftmaxCrossEntropyPrecision : public SoftmaxCrossEntropyKernel {};

// If rounding does not change h and weight, the logits are those of float32, and so are loss and
// probabilities. In the backward pass the gradient of every logit is rounded once, by a relative u.
// The test also checks that the results are not better, which would show another precision. TF32
// may truncate, and small products may be computed in float32: see recurrent_test.cpp.
TEST_P(SoftmaxCrossEntropyPrecision, RoundsTheGradientsOfTheLogitsAlone) {
  const bool bf16 = backend_->precision() == Precision::kBf16;
  const double u = bf16 ? 0x1p-8 : 0x1p-10;
  for (const LossCase& c : {LossCase{20, 40, 1000, 7, true, -100, true},
                            {33, 31, 257, 16},
                            {5, 650, 255, 3},
                            {4, 8, 33, 4}}) {
    SCOPED_TRACE(describe(c));
    LossData data = random_data(c, 12);
    data.h = rounded(data.h);
    data.weight = rounded(data.weight);
    const auto expected = reference::softmax_cross_entropy(
        data.h, data.weight, data.bias, data.targets, data.row_weights, options_of(c));
    const Result actual = run(c, data, true);
    EXPECT_TRUE(close(actual.loss, {expected.loss}, row_ulps(c) + std::sqrt(double(c.rows)),
                      c.mean ? 1 : std::sqrt(double(c.rows))));
    EXPECT_TRUE(close(actual.log_prob, expected.log_prob, row_ulps(c)));
    EXPECT_EQ(doubles(actual.hit), expected.hit);
    const LossGradients slopes = expected_gradients(c, data);
    const double exact = row_ulps(c) + std::sqrt(double(std::max(c.classes, c.rows)));
    const double ulps = exact + u / kUlp;
    EXPECT_TRUE(close_to_sums(actual.dh, slopes.dh.values, ulps, slopes.dh_size));
    EXPECT_TRUE(close_to_sums(actual.dweight, slopes.dweight.values, ulps, slopes.dweight_size));
    EXPECT_TRUE(close_to_sums(actual.dbias, slopes.dbias.values, ulps, slopes.dbias_size));
    if (bf16) {
      EXPECT_FALSE(
          close_to_sums(actual.dweight, slopes.dweight.values, exact, slopes.dweight_size));
    }
    finish_case();
  }
}

INSTANTIATE_TEST_SUITE_P(On, SoftmaxCrossEntropyPrecision,
                         ::testing::Values("CpuBf16", "CudaTf32", "CudaBf16"), backend_name);

SoftmaxCrossEntropyOptions graph_options(const LossCase& c) {
  return {.chunk_rows = c.chunk_rows, .ignored_id = c.ignored_id, .mean = c.mean, .scale = c.scale};
}

class SoftmaxCrossEntropyOp : public OnEachBackend {};

// Values, and gradients of 3 loss + sum(v h): a node that returns a gradient from its forward pass
// must scale it by the incoming one.
TEST_P(SoftmaxCrossEntropyOp, GradientOfAScaledLossMatchesComplexStep) {
  for (const LossCase& c : kCases) {
    if (c.rows * c.classes * c.hidden > 4000) continue;  // complex step: one pass per element
    SCOPED_TRACE(describe(c));
    const LossData data = random_data(c, 21);
    Random random(3);
    const Reals v = random.array({c.rows, c.hidden}, -1, 1);
    Graph g;
    const Tensor h = g.placeholder("h", {c.rows, c.hidden});
    const Tensor weight = g.placeholder("weight", {c.classes, c.hidden});
    const Tensor bias = g.placeholder("bias", {c.classes});
    const Tensor targets = g.placeholder("targets", {c.rows}, DType::kInt32);
    const Tensor v_in = g.placeholder("v", {c.rows, c.hidden});
    SoftmaxCrossEntropyOptions options = graph_options(c);
    if (c.weighted) options.row_weights = g.placeholder("row_weights", {c.rows});
    const auto result = softmax_cross_entropy(h, {weight, bias}, targets, options);
    EXPECT_EQ(result.loss.shape(), Shape{1});
    EXPECT_EQ(result.log_prob.shape(), Shape{c.rows});
    EXPECT_EQ(result.hit.shape(), Shape{c.rows});
    const Tensor cost = reduce_sum(result.loss * 3) + reduce_sum(v_in * h);
    const std::vector<Tensor> xs{h, weight, bias};
    std::vector<Tensor> fetches = dense_gradients(cost, xs);
    for (const Tensor& fetch : {cost, result.loss, result.log_prob, result.hit})
      fetches.push_back(fetch);

    const std::vector<std::vector<float>> values{floats(data.h), floats(data.weight),
                                                 floats(data.bias), floats(v),
                                                 floats(data.row_weights)};
    std::vector<Feed> feeds{{h, values[0]},
                            {weight, values[1]},
                            {bias, values[2]},
                            {v_in, values[3]},
                            {targets, data.targets}};
    if (c.weighted) feeds.emplace_back(options.row_weights, values[4]);
    Session session(g, backend_);
    session.run(fetches, feeds);

    const auto loss = [&](const std::vector<ComplexArray>& x) {
      return reference::softmax_cross_entropy(x[0], x[1], x[2], data.targets, data.row_weights,
                                              options_of(c));
    };
    const std::vector<Reals> inputs{data.h, data.weight, data.bias};
    const auto expected = loss({inputs.begin(), inputs.end()});
    EXPECT_TRUE(close(session.read(result.loss), {expected.loss.real()},
                      row_ulps(c) + std::sqrt(double(c.rows))));
    EXPECT_EQ(doubles(session.read(result.hit)), expected.hit);
    const std::vector<Reals> slopes =
        reference::complex_step(inputs, [&](const std::vector<ComplexArray>& x) {
          return loss(x).loss * 3.0 + reference::weighted_sum(v, x[0]);
        });
    // As in the kernel test, times 3, plus one addition for h.
    for (std::size_t k = 0; k < xs.size(); ++k)
      EXPECT_TRUE(close(session.read(fetches[k]), slopes[k].values,
                        3 * (row_ulps(c) + std::sqrt(double(c.rows)))));
  }
}

TEST_P(SoftmaxCrossEntropyOp, ChunkRowsDoNotChangeTheResult) {
  const LossCase c{100, 24, 130, 1};
  const LossData data = random_data(c, 5);
  const LossGradients slopes = expected_gradients(c, data);
  std::vector<float> first;
  for (const std::int64_t chunk : {1, 3, 100, 256, 0}) {
    SCOPED_TRACE(chunk);
    Graph g;
    const Tensor h = g.placeholder("h", {kOpen, c.hidden});
    const Tensor weight = g.variable("weight", {c.classes, c.hidden}, constant(0));
    const Tensor bias = g.variable("bias", {c.classes}, constant(0));
    const Tensor targets = g.placeholder("targets", {kOpen}, DType::kInt32);
    const Tensor loss =
        softmax_cross_entropy(h, {weight, bias}, targets, {.chunk_rows = chunk}).loss;
    const Tensor dweight = dense_gradients(loss, {weight})[0];
    Session session(g, backend_);
    session.variables().write<float>("weight", floats(data.weight));
    session.variables().write<float>("bias", floats(data.bias));
    const std::vector<float> h_values = floats(data.h);
    const std::vector<Feed> feeds{{h, h_values}, {targets, data.targets}};
    const std::vector<Tensor> fetches{loss, dweight};
    session.run(fetches, feeds);
    if (first.empty()) first = session.read(loss);
    // Sums of 100 rows in another order: twice sqrt(100) roundings.
    EXPECT_TRUE(close(session.read(loss), doubles(first), 20));
    EXPECT_TRUE(close_to_sums(session.read(dweight), slopes.dweight.values, row_ulps(c) + 10,
                              slopes.dweight_size));
  }
}

// The table is decoder and encoder at once: its gradient is the sum of a dense and a sparse one.
TEST_P(SoftmaxCrossEntropyOp, TiedWeightsGetBothGradients) {
  const LossCase c{6, 5, 9, 4, false, -1, true};
  const LossData data = random_data(c, 8);
  const std::vector<std::int32_t> words{3, 0, 3, 8, 1, 3};
  Graph g;
  const Tensor table = g.variable("table", {c.classes, c.hidden}, constant(0));
  const Tensor bias = g.placeholder("bias", {c.classes});
  const Tensor ids = g.placeholder("ids", {c.rows}, DType::kInt32);
  const Tensor targets = g.placeholder("targets", {c.rows}, DType::kInt32);
  const Tensor h = tanh(embedding(table, ids));
  const Tensor cost = softmax_cross_entropy(h, {table, bias}, targets, graph_options(c)).loss * 2;
  const Tensor slope = dense_gradients(cost, {table})[0];
  Session session(g, backend_);
  session.variables().write<float>("table", floats(data.weight));
  const std::vector<float> actual =
      session.evaluate(slope, {{bias, floats(data.bias)}, {ids, words}, {targets, data.targets}});

  const std::vector<Reals> expected =
      reference::complex_step({data.weight}, [&](const std::vector<ComplexArray>& x) {
        const ComplexArray hidden = reference::map(reference::gather(x[0], words, {c.rows}),
                                                   [](Complex y) { return std::tanh(y); });
        return 2.0 * reference::softmax_cross_entropy(hidden, x[0], ComplexArray(data.bias),
                                                      data.targets, {}, options_of(c))
                         .loss;
      });
  EXPECT_TRUE(close(actual, expected[0].values, 2 * row_ulps(c)));
}

TEST_P(SoftmaxCrossEntropyOp, TwoLossesInOneGraph) {
  const LossCase c{4, 3, 5, 4};
  const LossData data = random_data(c, 8);
  Graph g;
  const Tensor h = g.placeholder("h", {c.rows, c.hidden});
  const Tensor weight = g.placeholder("weight", {c.classes, c.hidden});
  const Tensor bias = g.placeholder("bias", {c.classes});
  const Tensor targets = g.placeholder("targets", {c.rows}, DType::kInt32);
  const Tensor once = softmax_cross_entropy(h, {weight, bias}, targets).loss;
  const Tensor again = softmax_cross_entropy(h * 2, {weight, bias}, targets).loss;
  const Tensor slope = dense_gradients(once - again, {weight})[0];
  Session session(g, backend_);
  const std::vector<float> actual = session.evaluate(slope, {{h, floats(data.h)},
                                                             {weight, floats(data.weight)},
                                                             {bias, floats(data.bias)},
                                                             {targets, data.targets}});
  const std::vector<Reals> expected =
      reference::complex_step({data.weight}, [&](const std::vector<ComplexArray>& x) {
        const ComplexArray h1(data.h), b(data.bias);
        const ComplexArray h2 = reference::map(h1, [](Complex y) { return 2.0 * y; });
        return reference::softmax_cross_entropy(h1, x[0], b, data.targets, {}, {}).loss -
               reference::softmax_cross_entropy(h2, x[0], b, data.targets, {}, {}).loss;
      });
  EXPECT_TRUE(close(actual, expected[0].values, 3 * row_ulps(c)));
}

TEST_P(SoftmaxCrossEntropyOp, ABadTargetGivesNan) {
  Graph g;
  const Tensor h = g.constant(1, {2, 3});
  const Tensor weight = g.constant(0.5, {4, 3}), bias = g.constant(0, {4});
  const Tensor targets = g.placeholder("targets", {2}, DType::kInt32);
  const Tensor loss = softmax_cross_entropy(h, {weight, bias}, targets).loss;
  Session session(g, backend_);
  EXPECT_TRUE(std::isnan(session.evaluate(loss, {{targets, std::vector<std::int32_t>{0, 4}}})[0]));
  EXPECT_TRUE(close(session.evaluate(loss, {{targets, std::vector<std::int32_t>{0, -1}}}),
                    {std::log(4.0)}, 4));
}

TEST_P(SoftmaxCrossEntropyOp, ResultsCanBeFetchedAlone) {
  const LossCase c{7, 5, 33, 3};
  const LossData data = random_data(c, 8);
  const auto expected = reference::softmax_cross_entropy(data.h, data.weight, data.bias,
                                                         data.targets, {}, options_of(c));
  Graph g;
  const Tensor h = g.placeholder("h", {c.rows, c.hidden});
  const Tensor weight = g.placeholder("weight", {c.classes, c.hidden});
  const Tensor bias = g.placeholder("bias", {c.classes});
  const Tensor targets = g.placeholder("targets", {c.rows}, DType::kInt32);
  const auto result = softmax_cross_entropy(h, {weight, bias}, targets, graph_options(c));
  const Tensor dbias = dense_gradients(result.loss, {bias})[0];
  const std::vector<float> hv = floats(data.h), wv = floats(data.weight), bv = floats(data.bias);
  const std::vector<Feed> feeds{{h, hv}, {weight, wv}, {bias, bv}, {targets, data.targets}};
  Session session(g, backend_);
  session.run(std::vector<Tensor>{result.log_prob}, feeds);
  EXPECT_TRUE(close(session.read(result.log_prob), expected.log_prob, row_ulps(c)));
  session.run(std::vector<Tensor>{result.hit}, feeds);
  EXPECT_EQ(doubles(session.read(result.hit)), expected.hit);
  session.run(std::vector<Tensor>{result.loss}, feeds);
  EXPECT_TRUE(close(session.read(result.loss), {expected.loss}, row_ulps(c)));
  session.run(std::vector<Tensor>{dbias}, feeds);
  EXPECT_TRUE(close(session.read(dbias), expected_gradients(c, data).dbias.values, row_ulps(c)));
}

UNROLL_FOR_EACH_BACKEND(SoftmaxCrossEntropyOp);

TEST(SoftmaxCrossEntropyShapes, AreChecked) {
  Graph g;
  const Tensor h = g.placeholder("h", {6, 3}), w = g.placeholder("w", {4, 3});
  const Tensor b = g.placeholder("b", {4}), t = g.placeholder("t", {6}, DType::kInt32);
  EXPECT_THROW(softmax_cross_entropy(h, {g.placeholder("w2", {4, 2}), b}, t),
               std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(h, {w, g.placeholder("b2", {5})}, t), std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(h, {w, b}, g.placeholder("t2", {5}, DType::kInt32)),
               std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(h, {w, b}, g.placeholder("t3", {6})), std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(h, {w, b}, t, {.row_weights = g.placeholder("rw", {5})}),
               std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(g.placeholder("h2", {2, 3, 3}), {w, b}, t),
               std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(h, {w, b}, t, {.chunk_rows = -1}), std::invalid_argument);
  const auto wide = [](Tensor x) { return cast(x, DType::kFloat64); };
  EXPECT_THROW(softmax_cross_entropy(wide(h), {w, b}, t), std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(h, {wide(w), b}, t), std::invalid_argument);
  EXPECT_THROW(softmax_cross_entropy(h, {w, wide(b)}, t), std::invalid_argument);
  EXPECT_THROW(
      softmax_cross_entropy(h, {w, b}, t, {.row_weights = wide(g.placeholder("rw2", {6}))}),
      std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
