/// First values of variables.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "unroll/graph.h"
#include "unroll/initializer.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

std::vector<float> values_of(const Initializer& how, const Shape& shape, std::uint64_t seed = 1,
                             const std::string& name = "w") {
  std::vector<float> values(std::size_t(shape.elements()), std::nanf(""));
  initialize(how, shape, seed, name, values);
  return values;
}

TEST(Initializer, ConstantFills) {
  EXPECT_EQ(values_of(constant(0.25), {3, 2}), std::vector<float>(6, 0.25F));
  EXPECT_EQ(values_of(Initializer{}, {}), std::vector<float>{0});
}

// A uniform distribution on [-1, 3) has mean 1 and variance 16 / 12. Over 100000 values their
// estimates have standard deviations 0.0037 and 0.0038; 5 of them either way.
TEST(Initializer, UniformHasItsRangeMeanAndVariance) {
  const std::vector<float> values = values_of(uniform(-1, 3), {100, 1000});
  double sum = 0, squares = 0;
  for (const float x : values) {
    ASSERT_GE(x, -1.0F);
    ASSERT_LE(x, 3.0F);
    sum += double(x) - 1;
    squares += (double(x) - 1) * (double(x) - 1);
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.0183);
  EXPECT_NEAR(squares / 1e5, 16.0 / 12, 0.019);
  EXPECT_LT(*std::min_element(values.begin(), values.end()), -0.999F);
  EXPECT_GT(*std::max_element(values.begin(), values.end()), 2.999F);
}

TEST(Initializer, ValuesDependOnSeedNameAndIndexAlone) {
  const std::vector<float> base = values_of(uniform(-1, 1), {300});
  EXPECT_EQ(values_of(uniform(-1, 1), {300}), base);
  EXPECT_EQ(values_of(uniform(-1, 1), {30, 10}), base);
  EXPECT_NE(values_of(uniform(-1, 1), {300}, 2), base);
  EXPECT_NE(values_of(uniform(-1, 1), {300}, 1, "v"), base);
  const std::vector<float> longer = values_of(uniform(-1, 1), {500});
  EXPECT_EQ(std::vector<float>(longer.begin(), longer.begin() + 300), base);
}

TEST(Initializer, XavierIsUniformInItsBlocksRange) {
  struct Case {
    Shape shape;
    int blocks;
    double limit;
  };
  for (const auto& [shape, blocks, limit] :
       {Case{{60, 90}, 1, std::sqrt(6.0 / 150)}, Case{{400, 50}, 4, std::sqrt(6.0 / 150)},
        Case{{90, 60}, 3, std::sqrt(6.0 / 90)}}) {
    const std::vector<float> values = values_of(xavier(blocks), shape);
    double largest = 0, squares = 0;
    for (const float x : values) {
      largest = std::max(largest, std::abs(double(x)));
      squares += double(x) * double(x);
    }
    EXPECT_LE(largest, limit * (1 + kUlp));
    EXPECT_GT(largest, limit * 0.995);  // 5400 values or more
    // The variance is limit^2 / 3; a sample of 5400 finds it to 1.2 % (standard deviation).
    EXPECT_NEAR(squares / double(values.size()) / (limit * limit / 3), 1, 0.06);
  }
}

/// Blocks of `rows` rows must have orthonormal rows, or columns where rows > columns.
void expect_orthonormal(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  const bool tall = rows > columns;
  const std::size_t vectors = tall ? columns : rows, length = tall ? rows : columns;
  for (std::size_t block = 0; block < values.size() / (rows * columns); ++block) {
    const float* w = &values[block * rows * columns];
    const auto at = [&](std::size_t vector, std::size_t k) {
      return double(tall ? w[k * columns + vector] : w[vector * columns + k]);
    };
    double worst = 0;
    for (std::size_t i = 0; i < vectors; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        double product = i == j ? -1 : 0;
        for (std::size_t k = 0; k < length; ++k) product += at(i, k) * at(j, k);
        worst = std::max(worst, std::abs(product));
      }
    // Entries rounded to float32: `length` products with two roundings relative to 1 / length.
    EXPECT_LE(worst, 2 * kUlp);
  }
}

TEST(Initializer, OrthogonalBlocksAreOrthonormal) {
  expect_orthonormal(values_of(orthogonal(), {40, 40}), 40, 40);
  expect_orthonormal(values_of(orthogonal(), {17, 40}), 17, 40);
  expect_orthonormal(values_of(orthogonal(), {40, 17}), 40, 17);
  expect_orthonormal(values_of(orthogonal(4), {132, 33}), 33, 33);
  expect_orthonormal(values_of(orthogonal(3), {15, 8}), 5, 8);
  expect_orthonormal(values_of(orthogonal(), {1, 1}), 1, 1);
  // Around the panels, tiles and strips of orthonormalize().
  for (const std::size_t size : {15, 16, 17, 31, 33, 127, 129, 257})
    expect_orthonormal(values_of(orthogonal(2), {2 * std::int64_t(size), std::int64_t(size)}), size,
                       size);
  expect_orthonormal(values_of(orthogonal(), {40, 301}), 40, 301);
  expect_orthonormal(values_of(orthogonal(3), {900, 70}), 300, 70);
}

TEST(Initializer, OrthogonalBlocksDiffer) {
  const std::vector<float> values = values_of(orthogonal(2), {8, 4});
  EXPECT_NE(std::vector<float>(values.begin(), values.begin() + 16),
            std::vector<float>(values.begin() + 16, values.end()));
}

// Over many seeds the sign of an element must be either, or QR's convention leaks through.
TEST(Initializer, OrthogonalSignsAreRandom) {
  int positive = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed)
    positive += values_of(orthogonal(), {3, 3}, seed)[0] > 0;
  EXPECT_NEAR(positive, 100, 36);  // standard deviation 7.1
}

TEST(Initializer, WrongShapesAreRejected) {
  EXPECT_THROW(values_of(xavier(), {5}), std::invalid_argument);
  EXPECT_THROW(values_of(xavier(), {5, 2, 2}), std::invalid_argument);
  EXPECT_THROW(values_of(orthogonal(), {5}), std::invalid_argument);
  EXPECT_THROW(values_of(xavier(2), {5, 4}), std::invalid_argument);
  EXPECT_THROW(values_of(orthogonal(4), {6, 4}), std::invalid_argument);
}

class InitializedVariables : public OnEachBackend {};

TEST_P(InitializedVariables, TakeTheirValuesFromNameAndSeed) {
  Graph g, other;
  g.variable("w", {33, 5}, uniform(-1, 1));
  g.variable("b", {7}, constant(3));
  other.variable("something", {100}, uniform(-1, 1));
  other.variable("w", {33, 5}, uniform(-1, 1));
  Session session(g, backend_, 12), second(other, backend_, 12);
  const std::vector<float> expected = values_of(uniform(-1, 1), {33, 5}, 12, "w");
  EXPECT_EQ(session.variables().read<float>("w"), expected);
  EXPECT_EQ(second.variables().read<float>("w"), expected);
  EXPECT_EQ(session.variables().read<float>("b"), std::vector<float>(7, 3.0F));
}

UNROLL_FOR_EACH_BACKEND(InitializedVariables);

}  // namespace
}  // namespace unroll::test
