/// Drawing from log probabilities: the exact ids, their frequencies, and what cannot be drawn.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/random.h"
#include "tests/support/reference_training.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class SampleKernel : public OnEachBackend {
 protected:
  std::int32_t draw(const std::vector<float>& log_prob, const SamplingOptions& options = {},
                    std::uint64_t key = 1, std::int64_t step = 0) {
    return draw_rows(log_prob, 1, options, key, step)[0];
  }

  /// An id for each of so many rows.
  std::vector<std::int32_t> draw_rows(const std::vector<float>& log_prob, std::int64_t rows,
                                      const SamplingOptions& options, std::uint64_t key,
                                      std::int64_t step) {
    const std::int64_t size = std::int64_t(log_prob.size()) / rows;
    const View id = memory_->out({rows}, DType::kInt32);
    backend_->sample({.log_prob = memory_->in(log_prob, {rows, size}),
                      .temperature = options.temperature,
                      .top_k = options.top_k,
                      .top_p = options.top_p,
                      .min_p = options.min_p,
                      .excluded_id = options.excluded_id,
                      .key = key,
                      .step = memory_->in<std::int64_t>({step}, {1}),
                      .id = id,
                      .scratch = memory_->raw(backend_->sample_scratch_bytes(rows, size))});
    const std::vector<std::int32_t> drawn = memory_->get<std::int32_t>(id);
    finish_case();
    return drawn;
  }
};

// The backends add up weights in other orders: a draw could differ from the reference if its number
// were within about 1e-13 of a boundary between two ids; none of these is.
TEST_P(SampleKernel, DrawsTheIdsThatTheReferenceDraws) {
  const SamplingOptions kOptions[] = {
      {},
      {.temperature = 0.3},
      {.temperature = 5},
      {.top_k = 1},
      {.top_k = 40},
      {.top_k = 100000},
      {.top_p = 0.01},
      {.top_p = 0.9},
      {.top_p = 0.999999},
      {.min_p = 0.001},
      {.min_p = 0.5},
      {.min_p = 1},
      {.excluded_id = 0},
      {.top_p = 0.9, .excluded_id = 1},
      {.temperature = 0.7, .top_k = 300, .top_p = 0.95},
      {.temperature = 2, .top_k = 3, .min_p = 0.05},
      {.top_p = 0.5, .min_p = 0.01, .excluded_id = 20},
  };
  Random random(4);
  for (const std::int64_t size : {1, 2, 31, 32, 33, 255, 256, 257, 511, 512, 513, 1025, 10000}) {
    std::vector<float> log_prob = floats(random.array({size}, -12, 0));
    for (std::size_t k = 1; k < log_prob.size(); ++k) {
      if (k % 3 == 0) log_prob[k] = std::floor(log_prob[k]);  // makes many equal
      if (k % 7 == 0) log_prob[k] = -kInfinity;
    }
    for (const SamplingOptions& o : kOptions)
      for (const std::int64_t step : {0L, 1L, 2L, 0x123456789ABL}) {
        if (size == 1 && o.excluded_id == 0) continue;  // nothing is left
        const std::uint64_t key = 0xFEDCBA9876543210 + std::uint64_t(size);
        SCOPED_TRACE(::testing::Message()
                     << size << " ids, T " << o.temperature << ", top-k " << o.top_k << ", top-p "
                     << o.top_p << ", min-p " << o.min_p << ", without " << o.excluded_id << ", "
                     << step);
        EXPECT_EQ(draw(log_prob, o, key, step),
                  reference::sample(log_prob, {o.temperature, o.top_k, o.top_p, key, step, 0,
                                               o.min_p, o.excluded_id}));
      }
  }
}

// Row 0 draws what a single distribution does.
TEST_P(SampleKernel, EachRowDrawsWithNumbersOfItsOwn) {
  Random random(6);
  const SamplingOptions kOptions[] = {
      {}, {.temperature = 0.5}, {.top_k = 40, .top_p = 0.9}, {.min_p = 0.2}};
  for (const std::int64_t size : {1, 33, 257})
    for (const std::int64_t rows : {1, 2, 31, 33}) {
      const std::vector<float> one = floats(random.array({size}, -3, 0));
      std::vector<float> equal, other = floats(random.array({rows, size}, -12, 0));
      for (std::int64_t row = 0; row < rows; ++row)
        equal.insert(equal.end(), one.begin(), one.end());
      for (const SamplingOptions& o : kOptions)
        for (const std::vector<float>& log_prob : {equal, other}) {
          const std::vector<std::int32_t> drawn = draw_rows(log_prob, rows, o, 77, 5);
          for (std::int64_t row = 0; row < rows; ++row) {
            const auto begin = log_prob.begin() + row * size;
            EXPECT_EQ(drawn[std::size_t(row)],
                      reference::sample({begin, begin + size},
                                        {o.temperature, o.top_k, o.top_p, 77, 5, row, o.min_p}))
                << size << " ids, row " << row << " of " << rows;
          }
        }
    }
}

TEST_P(SampleKernel, ARowThatCannotBeDrawnLeavesTheOthersAlone) {
  Random random(7);
  std::vector<float> log_prob = floats(random.array({3, 40}, -3, 0));
  const std::vector<std::int32_t> sound = draw_rows(log_prob, 3, {}, 9, 4);
  log_prob[45] = std::nanf("");
  EXPECT_EQ(draw_rows(log_prob, 3, {}, 9, 4), (std::vector<std::int32_t>{sound[0], -1, sound[2]}));
}

TEST_P(SampleKernel, TemperatureZeroTakesTheMostProbableAndTheFirstOfEquals) {
  EXPECT_EQ(draw({-2, -1, -1}, {.temperature = 0}), 1);
  EXPECT_EQ(draw({-1, -0.0F, 0, -1}, {.temperature = 0}), 1);
  EXPECT_EQ(draw({-1, 0, -0.0F, -1}, {.temperature = 0}), 1);
  std::vector<float> log_prob(1025, -3.5F);
  EXPECT_EQ(draw(log_prob, {.temperature = 0}), 0);
  log_prob[1024] = 2;  // need not be normalised
  EXPECT_EQ(draw(log_prob, {.temperature = 0}), 1024);
}

// e^(-1 / 1e-5) is 0 in float64.
TEST_P(SampleKernel, WeightsThatVanishAreNotDrawn) {
  const std::vector<float> log_prob{-3, -2, -4, -2, -kInfinity};
  for (std::int64_t step = 0; step < 20; ++step)
    EXPECT_EQ(draw(log_prob, {.temperature = 1e-5}, 3, step) % 2, 1);
}

// The greatest of the others is then the most probable, for min_p too.
TEST_P(SampleKernel, AnExcludedIdIsAsIfItWereNotThere) {
  const std::vector<float> log_prob{-3, -0.5F, -2, -2.5F};
  EXPECT_EQ(draw(log_prob, {.temperature = 0, .excluded_id = 1}), 2);
  EXPECT_EQ(draw(log_prob, {.temperature = 0, .excluded_id = 4}), 1);
  for (std::int64_t step = 0; step < 20; ++step) {
    EXPECT_NE(draw(log_prob, {.excluded_id = 1}, 3, step), 1);
    EXPECT_EQ(draw(log_prob, {.min_p = 0.9, .excluded_id = 1}, 3, step), 2);
  }
  EXPECT_EQ(draw({-1, -kInfinity}, {.excluded_id = 0}), -1);
}

TEST_P(SampleKernel, SaysWhatItCannotDraw) {
  for (const double temperature : {0.0, 1.0})
    for (const std::size_t size : {1U, 33U, 1025U}) {
      SCOPED_TRACE(::testing::Message() << size << " ids, temperature " << temperature);
      const SamplingOptions options{.temperature = temperature};
      EXPECT_EQ(draw(std::vector<float>(size, -kInfinity), options), -1);
      std::vector<float> log_prob(size, -1);
      for (const float bad : {std::nanf(""), -std::nanf(""), kInfinity})
        for (const std::size_t where : {std::size_t{0}, size - 1}) {
          log_prob[where] = bad;
          EXPECT_EQ(draw(log_prob, options), -1) << bad << " at " << where;
          log_prob[where] = -1;
        }
    }
}

TEST_P(SampleKernel, NeedsNoAlignment) {
  Random random(5);
  const std::vector<float> log_prob = floats(random.array({257}, -12, 0));
  const std::int32_t aligned = draw(log_prob, {}, 8);
  memory_->shift_by(1);
  EXPECT_EQ(draw(log_prob, {}, 8), aligned);
}

UNROLL_FOR_EACH_BACKEND(SampleKernel);

std::vector<float> logs(const std::vector<double>& p) {
  std::vector<float> result;
  for (const double x : p) result.push_back(float(std::log(x)));
  return result;
}

class SampleOp : public OnEachBackend {
 protected:
  /// The ids that this many runs of a fresh session draw.
  std::vector<std::int32_t> draws(const SamplingOptions& options,
                                  const std::vector<float>& log_prob, int count,
                                  std::uint64_t session_seed = 0) const {
    Graph g;
    const Tensor x = g.placeholder("x", {std::int64_t(log_prob.size())});
    const Tensor id = sample(x, options);
    Session session(g, backend_, session_seed);
    std::vector<std::int32_t> ids;
    for (int k = 0; k < count; ++k) {
      session.run(id, {{x, log_prob}});
      ids.push_back(session.read<std::int32_t>(id)[0]);
    }
    return ids;
  }

  std::vector<double> frequencies(const SamplingOptions& options,
                                  const std::vector<float>& log_prob, int count) const {
    std::vector<double> counts(log_prob.size());
    for (const std::int32_t id : draws(options, log_prob, count))
      counts[std::size_t(id)] += 1.0 / count;
    return counts;
  }

  // Fewer on a GPU, because it may be the emulated one.
  int many() const { return GetParam() == "Cpu" ? 40000 : 400; }
  // Four standard deviations of a frequency over so many draws, each at most 0.5 / sqrt(draws).
  double bound() const { return 4 * 0.5 / std::sqrt(double(many())); }
};

TEST_P(SampleOp, DrawsWithTheGivenProbabilities) {
  const std::vector<double> p = {0.5, 0.3, 0.15, 0.05};
  const auto f = frequencies({.seed = 1}, logs(p), many());
  for (std::size_t k = 0; k < p.size(); ++k) EXPECT_NEAR(f[k], p[k], bound()) << k;
}

TEST_P(SampleOp, TemperatureIsAPower) {
  const std::vector<double> p = {0.6, 0.3, 0.1};
  const auto f = frequencies({.temperature = 0.5, .seed = 2}, logs(p), many());
  const double total = 0.36 + 0.09 + 0.01;
  EXPECT_NEAR(f[0], 0.36 / total, bound());
  EXPECT_NEAR(f[1], 0.09 / total, bound());
}

TEST_P(SampleOp, TopKKeepsTheMostProbable) {
  const auto f = frequencies({.top_k = 2, .seed = 4}, logs({0.1, 0.5, 0.4}), many());
  EXPECT_EQ(f[0], 0);
  EXPECT_NEAR(f[1], 5.0 / 9, bound());
}

TEST_P(SampleOp, TopPKeepsTheFewestThatReachIt) {
  const auto f = frequencies({.top_p = 0.7, .seed = 5}, logs({0.1, 0.5, 0.25, 0.15}), many());
  EXPECT_EQ(f[0], 0);
  EXPECT_EQ(f[3], 0);
  EXPECT_NEAR(f[1], 2.0 / 3, bound());
  const auto one = frequencies({.top_p = 0.01, .seed = 5}, logs({0.1, 0.9}), 100);
  EXPECT_EQ(one[0], 0);
}

TEST_P(SampleOp, MinPKeepsWhatIsNearTheMostProbable) {
  const auto f = frequencies({.min_p = 0.25, .seed = 6}, logs({0.1, 0.5, 0.25, 0.15}), many());
  EXPECT_EQ(f[0], 0);
  EXPECT_NEAR(f[1], 5.0 / 9, bound());
  EXPECT_NEAR(f[3], 1.5 / 9, bound());
  // At temperature 0.5 the weights are 1, 0.25 and 0.09 of the greatest.
  const auto sharp = frequencies({.temperature = 0.5, .min_p = 0.2, .seed = 6},
                                 logs({0.5, 0.25, 0.15}), many() / 4);
  EXPECT_EQ(sharp[2], 0);
  EXPECT_GT(sharp[1], 0);
}

TEST_P(SampleOp, SameSeedSameDraws) {
  const auto p = logs({0.25, 0.25, 0.25, 0.25});
  const auto a = draws({.seed = 7}, p, 100), other = draws({.seed = 8}, p, 100);
  EXPECT_EQ(draws({.seed = 7}, p, 100), a);
  EXPECT_EQ(draws({.seed = 7}, p, 100, /*session_seed=*/9), a);
  int differing = 0;
  for (std::size_t k = 0; k < a.size(); ++k) differing += a[k] != other[k] ? 1 : 0;
  EXPECT_GT(differing, 50);
}

TEST_P(SampleOp, TheNumberOfTheRunIsThatOfTheDraw) {
  const auto p = logs({0.1, 0.2, 0.3, 0.4});
  const auto drawn = draws({.seed = 3}, p, 20);
  const std::uint64_t key = reference::philox_key(3, "sampler");
  for (std::size_t k = 0; k < drawn.size(); ++k)
    EXPECT_EQ(drawn[k], reference::sample(p, {.key = key, .step = std::int64_t(k)}));
}

TEST_P(SampleOp, RowsAreDrawnFromWithTheSameRuns) {
  const auto p = logs({0.1, 0.2, 0.3, 0.4});
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 4});
  const Tensor id = sample(x, {.seed = 3});
  Session session(g, backend_);
  const auto alone = draws({.seed = 3}, p, 20);
  const std::uint64_t key = reference::philox_key(3, "sampler");
  std::vector<float> rows = p;
  rows.insert(rows.end(), p.begin(), p.end());
  for (std::size_t k = 0; k < alone.size(); ++k) {
    session.run(id, {{x, rows}});
    const std::vector<std::int32_t> drawn = session.read<std::int32_t>(id);
    ASSERT_EQ(drawn.size(), 2U);
    EXPECT_EQ(drawn[0], alone[k]);
    EXPECT_EQ(drawn[1], reference::sample(p, {.key = key, .step = std::int64_t(k), .row = 1}));
  }
}

TEST_P(SampleOp, ExcludedIdsAreNeverDrawn) {
  const auto f = frequencies({.seed = 9}, {-kInfinity, -1, -kInfinity, -1}, many() / 4);
  EXPECT_EQ(f[0] + f[2], 0);
}

UNROLL_FOR_EACH_BACKEND(SampleOp);

TEST(SampleArguments, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  EXPECT_THROW(sample(x, {.temperature = -1}), std::invalid_argument);
  EXPECT_THROW(sample(x, {.temperature = std::nan("")}), std::invalid_argument);
  EXPECT_THROW(sample(x, {.top_k = -1}), std::invalid_argument);
  EXPECT_THROW(sample(x, {.top_p = 0}), std::invalid_argument);
  EXPECT_THROW(sample(x, {.top_p = 1.5}), std::invalid_argument);
  EXPECT_THROW(sample(x, {.min_p = -0.1}), std::invalid_argument);
  EXPECT_THROW(sample(x, {.min_p = 1.1}), std::invalid_argument);
  EXPECT_THROW(sample(x, {.min_p = std::nan("")}), std::invalid_argument);
  EXPECT_THROW(sample(g.placeholder("ids", {3}, DType::kInt32)), std::invalid_argument);
  EXPECT_THROW(sample(g.placeholder("cube", {2, 3, 4})), std::invalid_argument);
  EXPECT_THROW(sample(g.placeholder("nothing", {0})), std::invalid_argument);
  EXPECT_THROW(sample(g.placeholder("rows of nothing", {3, 0})), std::invalid_argument);
  EXPECT_EQ(sample(g.placeholder("open", {kOpen})).shape(), Shape{1});
  EXPECT_EQ(sample(g.placeholder("rows", {3, 4})).shape(), Shape{3});
  EXPECT_EQ(sample(g.placeholder("open rows", {kOpen, 4})).shape(), Shape{kOpen});
}

}  // namespace
}  // namespace unroll::test
