/// Building, planning and running take work in proportion to the nodes: graphs of 20,000 variables
/// or more. Each of them takes minutes, and is then stopped by ctest, where one pass over all nodes
/// is made for every one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/graph/operation.h"
#include "tests/support/random.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

constexpr int kManyNodes = 20000;

Tensor variable(Graph& g, int k) {
  return g.variable("v" + std::to_string(k), {1}, constant(0.5));
}

/// x + 1. Counts how often the engine asks something of such operations.
class CountingOperation final : public Operation {
 public:
  static inline std::int64_t questions = 0;

  std::string kind() const override {
    ++questions;
    return "counting";
  }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    ++questions;
    return {inputs[0]};
  }
  void plan(PlanContext&) const override { ++questions; }
  void bind(const RunContext&) const override { ++questions; }
  void run(const RunContext& c) const override {
    ++questions;
    c.backend.elementwise({ElementwiseKind::kAffine, c.inputs[0], View(), c.outputs[0], 1, 1});
  }
  bool host_decides() const override {
    ++questions;
    return false;
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor> dy) const override {
    ++questions;
    return {add_node(std::make_shared<CountingOperation>(), {dy[0]})};
  }
  int alias(std::span<const TensorType>) const override {
    ++questions;
    return -1;
  }
  int in_place(int) const override {
    ++questions;
    return 0;
  }
  int first_packed_input() const override {
    ++questions;
    return -1;
  }
  std::vector<int> written_inputs() const override {
    ++questions;
    return {};
  }
};

/// What a chain of so many nodes, and as many of their gradient, are asked until they have run.
std::int64_t questions_to_a_chain(int nodes) {
  CountingOperation::questions = 0;
  Graph g;
  const Tensor x = variable(g, 0);
  Tensor y = x;
  for (int k = 0; k < nodes; ++k) y = add_node(std::make_shared<CountingOperation>(), {y});
  const Tensor slope = dense_gradients(reduce_sum(y), {x})[0];
  Session session(g, cpu(1));
  session.run({y, slope});
  EXPECT_EQ(session.read(y), std::vector<float>{0.5F + float(nodes)});
  EXPECT_EQ(session.read(slope), std::vector<float>{1 + float(nodes)});
  return CountingOperation::questions;
}

TEST(LargeGraph, FourTimesTheNodesAreAskedFourTimesAsMuch) {
  const std::int64_t few = questions_to_a_chain(1000), many = questions_to_a_chain(4000);
  EXPECT_GT(few, 8 * 2000);        // each node is asked several things
  EXPECT_LE(many, 4 * few + 100);  // and at most some are asked once more
}

TEST(LargeGraph, AChainOfVariablesIsTrained) {
  Graph g;
  Tensor sum = variable(g, 0);
  for (int k = 1; k < kManyNodes; ++k) sum = sum + variable(g, k);
  const Tensor step = AdamOptimizer(0.25).minimize(reduce_sum(sum));
  Session session(g, cpu(1));
  EXPECT_EQ(session.evaluate(sum), std::vector<float>{0.5F * kManyNodes});
  session.run(step);
  EXPECT_NEAR(session.evaluate(sum)[0], 0.25 * kManyNodes, 1);
}

TEST(LargeGraph, ManyPartsAreJoinedAndTrained) {
  Graph g;
  std::vector<Tensor> parts;
  for (int k = 0; k < kManyNodes; ++k) parts.push_back(variable(g, k) * 2);
  const Tensor sum = reduce_sum(concat(parts, 0));
  const Tensor step = GradientDescentOptimizer(0.125).minimize(sum);
  Session session(g, cpu(1));
  session.run(step);
  EXPECT_EQ(session.evaluate(sum), std::vector<float>{0.5F * kManyNodes});
}

TEST(LargeGraph, ManyPlaceholdersAreFedAndManyResultsRead) {
  Graph g;
  const std::vector<float> one{1};
  std::vector<Tensor> results;
  std::vector<Feed> feeds;
  for (int k = 0; k < kManyNodes; ++k) {
    const Tensor x = g.placeholder("x", {1});  // all want one name
    feeds.emplace_back(x, one);
    results.push_back(x * 2 + double(k));
  }
  Session session(g, cpu(1));
  session.run(results, feeds);
  for (int k = 0; k < kManyNodes; ++k)
    ASSERT_EQ(session.read(results[std::size_t(k)]), std::vector<float>{float(k + 2)});
}

TEST(LargeGraph, AStackOfManyLayersIsTrained) {
  Graph g;
  RecurrentSpec spec{.cell = CellKind::kRnnTanh, .hidden = {}};
  spec.hidden.assign(kManyNodes / 2, 1);  // a layer has four variables
  RecurrentInputs in;
  in.x = g.placeholder("x", {2, 1, 1});
  in.weights = recurrent_weights(g, spec, 1, {.weight_ih = constant(1), .weight_hh = constant(0)});
  const RecurrentResult result = recurrent(spec, in);
  const Tensor step = AdamOptimizer(0.01).minimize(reduce_sum(result.y));
  Session session(g, cpu(1));
  const std::vector<float> x{1, -1};
  session.run(std::vector<Tensor>{step, result.y}, std::vector<Feed>{{in.x, x}});
  const std::vector<float> y = session.read(result.y);
  EXPECT_GT(y[0], 0);
  EXPECT_EQ(y[0], -y[1]);
}

// Memory is shared among tens of thousands of values, and none may be overwritten while it is
// needed: the outputs have the bits of a graph of one step that carries its state, and the
// gradients are those of the recurrent node.
TEST(LargeGraph, AnUnrolledCellHasTheValuesOfSmallGraphs) {
  constexpr std::int64_t kSteps = 400, kBatch = 2, kUnits = 3;
  const RecurrentSpec spec{.cell = CellKind::kLstm, .hidden = {kUnits}};
  const std::vector<float> values = floats(Random(1).array({kSteps, kBatch, kUnits}, -1, 1));
  const auto cost_of = [](Tensor y) { return reduce_sum(y * y); };

  Graph large;
  const Tensor x = large.placeholder("x", {kSteps, kBatch, kUnits});
  const CellWeights weights = recurrent_weights(large, spec, kUnits).front();
  const Tensor zero = large.constant(0, {kBatch, kUnits});
  const Tensor y = unrolled(cell(spec, weights), x, {zero, zero}).y;
  const std::vector<Tensor> slopes = dense_gradients(
      cost_of(y), {weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh});
  EXPECT_GT(large.nodes().size(), kManyNodes);
  Session session(large, cpu(1), 5);
  std::vector<Tensor> fetches = slopes;
  fetches.push_back(y);
  session.run(fetches, std::vector<Feed>{{x, values}});

  Graph one;
  const Tensor x_t = one.placeholder("x", {kBatch, kUnits});
  const Tensor h = one.variable("h", {kBatch, kUnits}, constant(0));
  const Tensor c = one.variable("c", {kBatch, kUnits}, constant(0));
  const auto [y_t, state] = cell(spec, recurrent_weights(one, spec, kUnits).front())(x_t, {h, c});
  const Tensor carry = group({assign(h, state[0]), assign(c, state[1])});
  Session step(one, cpu(1), 5);
  std::vector<float> ys;
  for (std::int64_t t = 0; t < kSteps; ++t) {
    const std::span<const float> row(&values[std::size_t(t * kBatch * kUnits)], kBatch * kUnits);
    step.run({y_t, carry}, {{x_t, row}});
    for (const float value : step.read(y_t)) ys.push_back(value);
  }
  EXPECT_EQ(session.read(y), ys);

  Graph small;
  const Tensor series = small.placeholder("x", {kSteps, kBatch, kUnits});
  const std::vector<CellWeights> w = recurrent_weights(small, spec, kUnits);
  const Tensor node = recurrent(spec, {.x = series, .weights = w}).y;
  const std::vector<Tensor> expected =
      dense_gradients(cost_of(node), {w[0].weight_ih, w[0].weight_hh, w[0].bias_ih, w[0].bias_hh});
  Session reference(small, cpu(1), 5);
  reference.run(expected, std::vector<Feed>{{series, values}});
  for (std::size_t k = 0; k < slopes.size(); ++k) {
    const std::vector<float> got = session.read(slopes[k]), want = reference.read(expected[k]);
    float largest = 0;
    for (const float value : want) largest = std::max(largest, std::abs(value));
    // Sums of a term for each row of x, each with a rounding, in different orders.
    const float tolerance = kSteps * kBatch * std::numeric_limits<float>::epsilon() * largest;
    for (std::size_t e = 0; e < got.size(); ++e) EXPECT_NEAR(got[e], want[e], tolerance) << k;
  }
}

}  // namespace
}  // namespace unroll::test
