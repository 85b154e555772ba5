/// Building, planning and running take time in proportion to the nodes: graphs of 20,000 variables
/// or more, each of which took minutes where one pass over all of them was made for every one.
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

constexpr int kManyNodes = 20000;

class LargeGraph : public ::testing::Test {
 protected:
  /// About a tenth of a second for every 1,000 nodes, ten times what it takes and a tenth of what
  /// the least of such mistakes costs.
  void TearDown() override {
    EXPECT_LT(double(std::clock() - start_) / CLOCKS_PER_SEC, 20) << "seconds of processor time";
  }

  static Tensor variable(Graph& g, int k) {
    return g.variable("v" + std::to_string(k), {1}, constant(0.5));
  }

 private:
  std::clock_t start_ = std::clock();
};

TEST_F(LargeGraph, AChainOfVariablesIsTrained) {
  Graph g;
  Tensor sum = variable(g, 0);
  for (int k = 1; k < kManyNodes; ++k) sum = sum + variable(g, k);
  const Tensor step = AdamOptimizer(0.25).minimize(reduce_sum(sum));
  Session session(g, cpu(1));
  EXPECT_EQ(session.evaluate(sum), std::vector<float>{0.5F * kManyNodes});
  session.run(step);
  EXPECT_NEAR(session.evaluate(sum)[0], 0.25 * kManyNodes, 1);
}

TEST_F(LargeGraph, ManyPartsAreJoinedAndTrained) {
  Graph g;
  std::vector<Tensor> parts;
  for (int k = 0; k < kManyNodes; ++k) parts.push_back(variable(g, k) * 2);
  const Tensor sum = reduce_sum(concat(parts, 0));
  const Tensor step = GradientDescentOptimizer(0.125).minimize(sum);
  Session session(g, cpu(1));
  session.run(step);
  EXPECT_EQ(session.evaluate(sum), std::vector<float>{0.5F * kManyNodes});
}

TEST_F(LargeGraph, ManyPlaceholdersAreFedAndManyResultsRead) {
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

TEST_F(LargeGraph, AStackOfManyLayersIsTrained) {
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

}  // namespace
}  // namespace unroll::test
