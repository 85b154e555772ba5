/// Running sums.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

class CumulativeSumTest : public OnEachBackend {};

GraphCase sum_case(const Dims& dims, int axis, const CumulativeSumOptions& options) {
  const std::size_t k = std::size_t(axis < 0 ? axis + int(dims.size()) : axis);
  return {.name = "cumulative_sum " + to_string(shape_of(dims)) + " axis " + std::to_string(axis) +
                  (options.exclusive ? " exclusive" : "") + (options.reverse ? " reverse" : ""),
          .operands = {{dims}},
          .build = [=](const auto& x) { return cumulative_sum(x[0], axis, options); },
          .reference =
              [=](const auto& x) {
                return reference::cumulative_sum(x[0], k, options.exclusive, options.reverse);
              },
          // Added in float64: one rounding of the sum, in the gradient a second one of w times 1.
          .ulps = 1,
          .gradient_ulps = 1};
}

TEST_P(CumulativeSumTest, ValuesAndGradientsMatchTheReference) {
  for (const bool exclusive : {false, true})
    for (const bool reverse : {false, true}) {
      const CumulativeSumOptions options{.exclusive = exclusive, .reverse = reverse};
      for (const std::int64_t n : {1, 2, 31, 32, 33, 65})
        check_graph_case(sum_case({n}, 0, options), backend_);
      check_graph_case(sum_case({2, 257}, 1, options), backend_);
      check_graph_case(sum_case({9, 33}, -1, options), backend_);
      check_graph_case(sum_case({33, 9}, 0, options), backend_);     // several lines, few at a time
      check_graph_case(sum_case({3, 5, 32}, 1, options), backend_);  // and a line per thread
      check_graph_case(sum_case({3, 5, 33}, -2, options), backend_);
      check_graph_case(sum_case({2, 3, 2, 3, 2, 3}, 3, options), backend_);
    }
}

TEST_P(CumulativeSumTest, DoesNotLoseSmallTermsBesideALargeOne) {
  std::vector<float> values(1000, 1);
  values[0] = 0x1p25F;
  Graph g;
  const Tensor x = g.placeholder("x", {1000});
  const Tensor y = cumulative_sum(x, 0);
  Session session(g, backend_);
  const std::vector<float> found = session.evaluate(y, {{x, values}});
  for (std::size_t k = 0; k < found.size(); ++k) EXPECT_EQ(found[k], float(0x1p25 + double(k)));
}

TEST_P(CumulativeSumTest, NanReachesWhatIsBehindItOnly) {
  for (const std::int64_t inner : {1, 40}) {
    Graph g;
    const Tensor x = g.placeholder("x", {70, inner});
    const Tensor y = cumulative_sum(x, 0), before = cumulative_sum(x, 0, {.exclusive = true});
    std::vector<float> values(std::size_t(70 * inner), 1);
    values[std::size_t(35 * inner)] = std::numeric_limits<float>::quiet_NaN();
    values[std::size_t(50 * inner)] = std::numeric_limits<float>::infinity();
    Session session(g, backend_);
    session.run({y, before}, {{x, values}});
    const std::vector<float> sums = session.read(y), others = session.read(before);
    for (std::int64_t k = 0; k < 70; ++k) {
      EXPECT_EQ(std::isnan(sums[std::size_t(k * inner)]), k >= 35) << k;
      EXPECT_EQ(std::isnan(others[std::size_t(k * inner)]), k > 35) << k;
      if (inner > 1) {
        EXPECT_EQ(sums[std::size_t(k * inner + 1)], float(k + 1));
      }
    }
  }
}

TEST_P(CumulativeSumTest, InfinityIsNotTakenAway) {
  Graph g;
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor x = g.placeholder("x", {3});
  const Tensor y = cumulative_sum(x, 0, {.exclusive = true});
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(y, {{x, std::vector<float>{1, infinity, 2}}}),
            (std::vector<float>{0, 1, infinity}));
}

UNROLL_FOR_EACH_BACKEND(CumulativeSumTest);

TEST(CumulativeSumShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3}), ids = g.placeholder("ids", {3}, DType::kInt64);
  EXPECT_EQ(cumulative_sum(x, -1).shape(), (Shape{kOpen, 3}));
  EXPECT_THROW(cumulative_sum(x, 2), std::invalid_argument);
  EXPECT_THROW(cumulative_sum(ids, 0), std::invalid_argument);
  EXPECT_THROW(cumulative_sum(Tensor(), 0), std::invalid_argument);
}

TEST(CumulativeSumBits, DoNotDependOnTheThreads) {
  Random random(3);
  const std::vector<float> values = floats(random.array({5, 1000, 33}, -1, 1));
  for (const int axis : {0, 1, 2}) {
    Graph g;
    const Tensor x = g.placeholder("x", {5, 1000, 33});
    const Tensor y = cumulative_sum(x, axis);
    const auto with = [&](int threads) {
      Session session(g, cpu(threads));
      return session.evaluate(y, {{x, values}});
    };
    const std::vector<float> expected = with(1);
    EXPECT_TRUE(identical(with(2), expected));
    EXPECT_TRUE(identical(with(7), expected));
  }
}

}  // namespace
}  // namespace unroll::test
