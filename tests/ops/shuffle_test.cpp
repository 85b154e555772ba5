/// Random orders of rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/element_types.h"
#include "unroll/gradients.h"
#include "unroll/math/philox.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class Shuffle : public OnEachBackend {
 protected:
  /// The order that the documentation promises: ids sorted by their words.
  static std::vector<std::int32_t> order(std::uint64_t seed, std::int64_t step, std::int64_t rows) {
    const std::uint64_t key = math::philox_key(seed, "shuffle");
    std::vector<std::int32_t> ids(static_cast<std::size_t>(rows));
    std::iota(ids.begin(), ids.end(), 0);
    const auto word = [&](std::int32_t id) {
      return math::philox_word(key, std::uint64_t(step), std::uint64_t(id));
    };
    std::ranges::stable_sort(ids, {}, word);
    return ids;
  }
};

TEST_P(Shuffle, RowsFollowTheirWords) {
  for (const std::int64_t rows : {1, 2, 31, 32, 33, 255, 256, 257, 3000}) {
    SCOPED_TRACE(rows);
    for (const std::int64_t step : {0, 5}) {
      const std::vector<std::int32_t> ids = order(7, step, rows);
      std::vector<float> values(std::size_t(rows) * 3);
      std::iota(values.begin(), values.end(), 0.0F);
      Graph g;
      const Tensor x = g.placeholder("x", {rows, 3});
      const Tensor y = shuffle(x, 7);
      Session session(g, backend_);
      session.set_step(step);
      const std::vector<float> found = session.evaluate(y, {{x, values}});
      for (std::size_t k = 0; k < ids.size(); ++k)
        for (std::size_t c = 0; c < 3; ++c)
          EXPECT_EQ(found[3 * k + c], float(3 * std::size_t(ids[k]) + c)) << k;
    }
  }
}

// What else is in the row, and its type, do not matter: features and labels stay together.
TEST_P(Shuffle, TensorsOfOneLengthAndSeedAreShuffledAlike) {
  Graph g;
  const Tensor x = g.placeholder("x", {40, 2, 2}),
               labels = g.placeholder("labels", {kOpen}, DType::kInt64);
  const Tensor both = shuffle(x, 3), alike = shuffle(labels, 3), other = shuffle(labels, 4);
  std::vector<float> values(160);
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = float(k / 4);
  std::vector<std::int64_t> ids(40);
  std::iota(ids.begin(), ids.end(), 0);
  const std::vector<Feed> feeds{{x, values}, {labels, ids}};
  const std::vector<Tensor> fetches{both, alike, other};
  Session session(g, backend_);
  std::vector<std::vector<std::int64_t>> orders;
  for (int run = 0; run < 3; ++run) {
    session.run(fetches, feeds);
    const std::vector<float> rows = session.read(both);
    orders.push_back(session.read<std::int64_t>(alike));
    for (std::size_t k = 0; k < rows.size(); ++k)
      EXPECT_EQ(rows[k], float(orders.back()[k / 4])) << k;
    EXPECT_NE(session.read<std::int64_t>(other), orders.back());
    std::vector<std::int64_t> sorted = orders.back();
    std::ranges::sort(sorted);
    EXPECT_EQ(sorted, ids);
  }
  EXPECT_NE(orders[0], orders[1]);  // each run has its own
  EXPECT_NE(orders[1], orders[2]);
}

TEST_P(Shuffle, GradientTakesRowsBack) {
  constexpr std::int64_t kRows = 33;
  Graph g;
  const Tensor x = g.placeholder("x", {kRows, 2}), w = g.placeholder("w", {kRows, 2});
  const Tensor slope = dense_gradients(reduce_sum(w * shuffle(x, 1)), {x})[0];
  std::vector<float> weights(2 * kRows);
  std::iota(weights.begin(), weights.end(), 0.0F);
  Session session(g, backend_);
  const std::vector<float> found = session.evaluate(slope, {{x, weights}, {w, weights}});
  const std::vector<std::int32_t> ids = order(1, 0, kRows);
  for (std::size_t k = 0; k < ids.size(); ++k)
    for (std::size_t c = 0; c < 2; ++c)
      EXPECT_EQ(found[2 * std::size_t(ids[k]) + c], weights[2 * k + c]) << k;
}

// 6 orders of 3 rows in 6000 runs: 1000 each, with a standard deviation of 29.
TEST_P(Shuffle, EveryOrderIsAsProbable) {
  Graph g;
  const Tensor x = g.placeholder("x", {3}, DType::kInt32), y = shuffle(x, 11);
  const std::vector<std::int32_t> values{0, 1, 2};
  Session session(g, backend_);
  std::map<std::vector<std::int32_t>, int> seen;
  for (int run = 0; run < 6000; ++run) {
    session.run(y, {{x, values}});
    ++seen[session.read<std::int32_t>(y)];
  }
  EXPECT_EQ(seen.size(), 6U);
  for (const auto& [order, times] : seen) EXPECT_NEAR(times, 1000, 5 * 29);
}

UNROLL_FOR_EACH_BACKEND(Shuffle);

TEST(ShuffleShapes, AreChecked) {
  Graph g;
  EXPECT_THROW(shuffle(Tensor(), 0), std::invalid_argument);
  EXPECT_THROW(shuffle(g.placeholder("x", {}), 0), std::invalid_argument);
  EXPECT_EQ(shuffle(g.placeholder("y", {kOpen, 2}), 0).shape(), (Shape{kOpen, 2}));
}

TEST(ShuffleBits, DoNotDependOnTheThreads) {
  Graph g;
  const Tensor x = g.placeholder("x", {5000});
  const Tensor y = shuffle(x, 2);
  std::vector<float> values(5000);
  std::iota(values.begin(), values.end(), 0.0F);
  const auto with = [&](int threads) {
    Session session(g, cpu(threads));
    return session.evaluate(y, {{x, values}});
  };
  const std::vector<float> expected = with(1);
  EXPECT_TRUE(identical(with(2), expected));
  EXPECT_TRUE(identical(with(7), expected));
}

}  // namespace
}  // namespace unroll::test
