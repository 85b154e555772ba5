/// logistic and tanh of the gates against float64, while the approximate instructions have their
/// full documented errors.
#include "cuda/recurrent/gate_math.cuh"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace unroll::gpu {
namespace {

/// The bound in the head of gate_math.cuh. Three roundings and the errors of exp2 and, for tanh, of
/// the reciprocal, at the worst point: 4 units of 2^-23.
constexpr double kBound = 0x1p-21;

/// Whether y is close enough to the exact value. Subnormal numbers are 2^-149 apart.
bool is_near(float y, double exact) {
  return std::abs(double(y) - exact) <= kBound * std::abs(exact) + 0x1p-149;
}

bool is_logistic(float y, float x) {
  const double exact = 1 / (1 + std::exp(-double(x)));
  return is_near(y, exact) || (exact < 0x1p-125 && y == 0);
}

/// Checks every `stride`-th float, including NaN.
void expect_near(std::uint32_t stride) {
  std::uint64_t wrong = 0;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += stride) {
    const auto x = std::bit_cast<float>(std::uint32_t(bits));
    const float l = logistic(Real(x)).v, t = tanh(Real(x)).v;
    const bool right = std::isnan(x) ? std::isnan(l) && std::isnan(t)
                                     : is_logistic(l, x) && is_near(t, std::tanh(double(x)));
    if (!right && ++wrong <= 3)
      ADD_FAILURE() << x << ": logistic " << l << ", tanh " << t << ", errors "
                    << approximate_errors.exp2 << " and " << approximate_errors.reciprocal;
  }
  EXPECT_EQ(wrong, 0U);
}

void expect_near_with_all_errors(std::uint32_t stride) {
  for (const double exp2 : {-1.0, 0.0, 1.0})
    for (const double reciprocal : {-1.0, 0.0, 1.0}) {
      approximate_errors = {exp2, reciprocal};
      expect_near(stride);
    }
  approximate_errors = {};
}

TEST(GateMath, IsNearTheExactFunctions) {
  expect_near_with_all_errors(4099);
}

// Takes an hour. Run it by hand, with --gtest_also_run_disabled_tests.
TEST(GateMath, DISABLED_IsNearTheExactFunctionsForEveryFloat) {
  expect_near_with_all_errors(1);
}

TEST(GateMath, EndsWhereItShould) {
  for (const float x : {100.0F, INFINITY}) {
    EXPECT_EQ(logistic(Real(x)).v, 1);
    EXPECT_EQ(logistic(Real(-x)).v, 0);
    EXPECT_EQ(tanh(Real(x)).v, 1);
    EXPECT_EQ(tanh(Real(-x)).v, -1);
  }
  EXPECT_EQ(logistic(Real(0)).v, 0.5F);
  EXPECT_EQ(tanh(Real(0)).v, 0);
  EXPECT_TRUE(std::signbit(tanh(Real(-0.0F)).v));
}

}  // namespace
}  // namespace unroll::gpu
