/// Sums of so many numbers that one float32 chain would lose precision.
#include "host/cpu/row_sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "host/cpu/kernels.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

constexpr std::int64_t kMany = std::int64_t(1) << 24;  // a float32 chain of ones stops there
// Each sum consists of two chains of at most 2^14 numbers.
constexpr double kTolerance = 2.0 * (1 << 14) * 0x1p-24;

TEST(RowSum, OfManyRowsLosesNothing) {
  for (const std::int64_t columns : {1, 3}) {
    const std::vector<float> x(std::size_t(kMany * columns), 0.1F);
    std::vector<float> sum(std::size_t(columns), 0);
    host::add_rows({x.data(), kMany, columns, columns, sum.data()});
    for (const float s : sum) EXPECT_NEAR(s / (double(0.1F) * kMany), 1, kTolerance);
  }
}

TEST(RowSum, OfFewRowsIsTheirChain) {
  constexpr std::int64_t kRows = 1000, kColumns = 67, kStride = 70;
  std::vector<float> x(std::size_t(kRows * kStride));
  for (std::size_t k = 0; k < x.size(); ++k) x[k] = std::sin(float(k));
  std::vector<float> sum(kColumns, 0), expected(kColumns, 0);
  host::add_rows({x.data(), kRows, kColumns, kStride, sum.data()});
  for (std::int64_t row = 0; row < kRows; ++row)
    for (std::int64_t column = 0; column < kColumns; ++column)
      expected[std::size_t(column)] += x[std::size_t(row * kStride + column)];
  EXPECT_EQ(sum, expected);
}

TEST(RowSum, ReductionsOfManyNumbersLoseNothing) {
  Graph g;
  const Tensor x = g.placeholder("x", {kMany, 1}), y = g.placeholder("y", {kMany / 2, 2});
  const Tensor all = reduce_sum(x), columns = reduce_sum(y, 0);
  Session session(g, cpu(2));
  const std::vector<float> values(kMany, 0.1F);
  EXPECT_NEAR(session.evaluate(all, {{x, values}})[0] / (double(0.1F) * kMany), 1, kTolerance);
  for (const float s : session.evaluate(columns, {{y, values}}))
    EXPECT_NEAR(s / (double(0.1F) * kMany / 2), 1, kTolerance);
}

TEST(RowSum, DotOfManyNumbersLosesNothing) {
  const std::vector<float> x(kMany, 0.1F), y(kMany, 1);
  EXPECT_NEAR(host::row_kernels().dot(x.data(), y.data(), kMany) / (double(0.1F) * kMany), 1,
              kTolerance);
}

}  // namespace
}  // namespace unroll::test
