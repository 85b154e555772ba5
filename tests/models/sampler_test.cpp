#include "host/models/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace unroll {
namespace {

std::vector<float> logs(const std::vector<double>& p) {
  std::vector<float> result;
  for (const double x : p) result.push_back(float(std::log(x)));
  return result;
}

std::vector<double> frequencies(const SamplingOptions& options, const std::vector<float>& log_prob,
                                int draws) {
  Sampler sampler(options);
  std::vector<double> counts(log_prob.size());
  for (int k = 0; k < draws; ++k) counts[std::size_t(sampler.draw(log_prob))] += 1.0 / draws;
  return counts;
}

// Four standard deviations of a frequency over 40,000 draws: at most 4 * 0.5 / 200.
constexpr double kBound = 0.01;
constexpr int kDraws = 40000;

TEST(Sampler, DrawsWithTheGivenProbabilities) {
  const std::vector<double> p = {0.5, 0.3, 0.15, 0.05};
  const auto f = frequencies({.seed = 1}, logs(p), kDraws);
  for (std::size_t k = 0; k < p.size(); ++k) EXPECT_NEAR(f[k], p[k], kBound) << k;
}

TEST(Sampler, TemperatureIsAPower) {
  const std::vector<double> p = {0.6, 0.3, 0.1};
  const auto f = frequencies({.temperature = 0.5, .seed = 2}, logs(p), kDraws);
  const double total = 0.36 + 0.09 + 0.01;
  EXPECT_NEAR(f[0], 0.36 / total, kBound);
  EXPECT_NEAR(f[1], 0.09 / total, kBound);
}

TEST(Sampler, TemperatureZeroTakesTheMostProbableAndTheFirstOfEquals) {
  Sampler sampler({.temperature = 0, .seed = 3});
  EXPECT_EQ(sampler.draw(logs({0.2, 0.4, 0.4})), 1);
}

TEST(Sampler, TopKKeepsTheMostProbable) {
  const auto f = frequencies({.top_k = 2, .seed = 4}, logs({0.1, 0.5, 0.4}), kDraws);
  EXPECT_EQ(f[0], 0);
  EXPECT_NEAR(f[1], 5.0 / 9, kBound);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  const auto f = frequencies({.top_p = 0.7, .seed = 5}, logs({0.1, 0.5, 0.25, 0.15}), kDraws);
  EXPECT_EQ(f[0], 0);
  EXPECT_EQ(f[3], 0);
  EXPECT_NEAR(f[1], 2.0 / 3, kBound);
  const auto one = frequencies({.top_p = 0.01, .seed = 5}, logs({0.1, 0.9}), 100);
  EXPECT_EQ(one[0], 0);
}

TEST(Sampler, SameSeedSameDraws) {
  Sampler a({.seed = 7}), b({.seed = 7}), c({.seed = 8});
  const auto p = logs({0.25, 0.25, 0.25, 0.25});
  int differing = 0;
  for (int k = 0; k < 100; ++k) {
    const auto drawn = a.draw(p);
    EXPECT_EQ(drawn, b.draw(p));
    differing += drawn != c.draw(p) ? 1 : 0;
  }
  EXPECT_GT(differing, 50);
}

TEST(Sampler, ExcludedTokensAreNeverDrawn) {
  const float never = -std::numeric_limits<float>::infinity();
  const auto f = frequencies({.seed = 9}, {never, -1, never, -1}, 1000);
  EXPECT_EQ(f[0] + f[2], 0);
}

TEST(Sampler, RefusesWhatItCannotUse) {
  EXPECT_THROW(Sampler({.temperature = -1}), std::invalid_argument);
  EXPECT_THROW(Sampler({.temperature = std::nan("")}), std::invalid_argument);
  EXPECT_THROW(Sampler({.top_k = -1}), std::invalid_argument);
  EXPECT_THROW(Sampler({.top_p = 0}), std::invalid_argument);
  EXPECT_THROW(Sampler({.top_p = 1.5}), std::invalid_argument);
  Sampler sampler({});
  EXPECT_THROW(sampler.draw(std::vector<float>{0, std::nanf("")}), std::invalid_argument);
  EXPECT_THROW(sampler.draw(std::vector<float>{}), std::invalid_argument);
}

}  // namespace
}  // namespace unroll
