/// mean_squared_error(): value and gradients against the reference, and shapes, which must be
/// equal.
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/graph_case.h"
#include "tests/support/temp_folder.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class MeanSquaredErrorTest : public OnEachBackend {};

TEST_P(MeanSquaredErrorTest, MatchesTheReference) {
  for (const Dims& dims : {Dims{}, Dims{1}, Dims{7, 5}, Dims{3, 4, 33}})
    check_graph_case({.name = "mean squared error",
                      .operands = {{dims}, {dims}},
                      .build = [](const auto& x) { return mean_squared_error(x[0], x[1]); },
                      .reference =
                          [](const auto& x) {
                            Complex sum = 0;
                            for (std::size_t k = 0; k < x[0].values.size(); ++k) {
                              const Complex difference = x[0].values[k] - x[1].values[k];
                              sum += difference * difference;
                            }
                            return ComplexArray(Dims{}, {sum / double(x[0].values.size())});
                          },
                      .ulps = 24,  // a pairwise or blocked sum of up to 396 terms of up to 16
                      .scale = 4},
                     backend_);
}

// Both have open dimensions: whether they fit is known only with the feeds.
TEST_P(MeanSquaredErrorTest, DoesNotBroadcastWhatIsFed) {
  Graph g;
  const Tensor a = g.placeholder("a", {kOpen, 2}), b = g.placeholder("b", {kOpen, 2});
  const Tensor error = mean_squared_error(a, b);
  Session session(g, backend_);
  const std::vector<float> one{1, 2}, three{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(session.evaluate(error, {{a, three}, {b, std::vector<float>(6)}})[0], 91.0F / 6);
  EXPECT_EQ(error_of<std::invalid_argument>([&] {
              session.run(error, {{a, one}, {b, three}});
            }),
            "mean_squared_error 'mean_squared_error': got a [1, 2] and b [3, 2], expected the same "
            "shape");
}

UNROLL_FOR_EACH_BACKEND(MeanSquaredErrorTest);

TEST(MeanSquaredError, RefusesOtherShapesAndTypes) {
  Graph g;
  const Tensor a = g.placeholder("a", {4, 1}), b = g.placeholder("b", {4});
  EXPECT_EQ(error_of<std::invalid_argument>([&] { mean_squared_error(a, b); }),
            "mean_squared_error: got a [4, 1] and b [4], expected the same shape");
  EXPECT_EQ(error_of<std::invalid_argument>(
                [&] { mean_squared_error(b, g.placeholder("ids", {4}, DType::kInt32)); }),
            "mean_squared_error: got b of int32, expected float32");
  EXPECT_EQ(error_of<std::invalid_argument>([&] { mean_squared_error(b, {}); }),
            "mean_squared_error: an input is an empty tensor");
}

}  // namespace
}  // namespace unroll::test
