/// Packet on every instruction set that this machine supports: arithmetic against scalar float;
/// exp, tanh and log against float64 over all magnitudes.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "host/cpu/isa.h"
#include "tests/cpu/packet_test_kernel.h"

namespace unroll::host {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();

std::uint32_t to_bits(float x) {
  return std::bit_cast<std::uint32_t>(x);
}

/// Distance of a float from the exact value in ulps of the exact value as a float, including
/// subnormal ones. If the value overflows float, inf is the right result.
double ulps(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : HUGE_VAL;
  if (std::isnan(got)) return HUGE_VAL;
  const float rounded = static_cast<float>(exact);
  if (std::isinf(got) || std::isinf(rounded)) return got == rounded ? 0 : HUGE_VAL;
  const int exponent = std::max(std::ilogb(static_cast<double>(rounded)), FLT_MIN_EXP - 1);
  const double unit = rounded == 0 ? FLT_TRUE_MIN : std::ldexp(1.0, exponent - 23);
  return std::abs(static_cast<double>(got) - exact) / unit;
}

class PacketTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_supported(GetParam())) GTEST_SKIP() << "not supported by this CPU";
    select_isa(GetParam());
    kernels_ = &UNROLL_FOR_ISA(kPacketTestKernels);
  }

  /// Every kStride-th float of each sign, including NaNs and infinities, in every lane.
  template <typename Exact>
  void sweep(PacketTestKernels::Unary function, Exact exact, double limit) {
    constexpr std::uint64_t kStride = 769, kBatch = 1 << 14;
    std::vector<float> x, y;
    double worst = 0;
    float worst_at = 0;
    for (std::uint64_t bits = 0; bits <= UINT32_MAX;) {
      x.clear();
      for (; x.size() < kBatch && bits <= UINT32_MAX; bits += kStride)
        x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
      y.assign(x.size(), kNotANumber);
      function(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double error = ulps(y[i], exact(static_cast<double>(x[i])));
        if (error > worst) worst = error, worst_at = x[i];
      }
    }
    RecordProperty("worst_ulps", std::to_string(worst));
    EXPECT_LE(worst, limit) << "at " << std::hexfloat << worst_at;
  }

  float at(PacketTestKernels::Unary function, float x) const {
    float y = kNotANumber;
    function(&x, &y, 1);
    return y;
  }

  /// Compares with a scalar function on random and special values, bit for bit (any NaN equals
  /// any).
  template <typename Scalar>
  void check(PacketTestKernels::Binary function, Scalar scalar) const {
    std::vector<float> values = {0.0f,          -0.0f,   1.0f, -1.0f, FLT_MIN,
                                 -FLT_TRUE_MIN, FLT_MAX, kInf, -kInf, kNotANumber};
    std::mt19937 rng(3);
    std::uniform_real_distribution<float> draw(-4, 4);
    for (int i = 0; i < 11; ++i) values.push_back(draw(rng));
    std::vector<float> a, b;
    for (const float u : values)
      for (const float v : values) a.push_back(u), b.push_back(v);
    std::vector<float> y(a.size());
    function(a.data(), b.data(), y.data(), static_cast<std::int64_t>(a.size()));
    for (std::size_t i = 0; i < a.size(); ++i) {
      const float expected = scalar(a[i], b[i]);
      const bool same =
          std::isnan(expected) ? std::isnan(y[i]) : to_bits(y[i]) == to_bits(expected);
      EXPECT_TRUE(same) << a[i] << " and " << b[i] << ": " << y[i] << ", expected " << expected;
    }
  }

  const PacketTestKernels* kernels_ = nullptr;
};

// Over (nearly) all floats the largest errors are 1.02, 2.50 and 0.98 ulps.
TEST_P(PacketTest, ExpOfAllMagnitudes) {
  sweep(
      kernels_->exp, [](double x) { return std::exp(x); }, 1.1);
}

TEST_P(PacketTest, TanhOfAllMagnitudes) {
  sweep(
      kernels_->tanh, [](double x) { return std::tanh(x); }, 2.5);
}

TEST_P(PacketTest, LogOfAllMagnitudes) {
  sweep(
      kernels_->log, [](double x) { return std::log(x); }, 1.0);
}

TEST_P(PacketTest, SqrtIsExact) {
  sweep(
      kernels_->sqrt, [](double x) { return std::sqrt(x); }, 0.5);
}

TEST_P(PacketTest, SpecialValues) {
  EXPECT_EQ(at(kernels_->exp, 0.0f), 1.0f);
  EXPECT_EQ(at(kernels_->exp, -0.0f), 1.0f);
  EXPECT_EQ(at(kernels_->exp, kInf), kInf);
  EXPECT_EQ(at(kernels_->exp, -kInf), 0.0f);
  EXPECT_EQ(at(kernels_->exp, 88.8f), kInf);
  EXPECT_EQ(at(kernels_->exp, -103.0f), FLT_TRUE_MIN);
  EXPECT_EQ(at(kernels_->exp, -104.0f), 0.0f);
  EXPECT_TRUE(std::isnan(at(kernels_->exp, kNotANumber)));

  EXPECT_EQ(at(kernels_->tanh, kInf), 1.0f);
  EXPECT_EQ(at(kernels_->tanh, -kInf), -1.0f);
  EXPECT_EQ(at(kernels_->tanh, 1e-20f), 1e-20f);
  EXPECT_EQ(at(kernels_->tanh, -FLT_TRUE_MIN), -FLT_TRUE_MIN);
  EXPECT_TRUE(std::signbit(at(kernels_->tanh, -0.0f)));
  EXPECT_TRUE(std::isnan(at(kernels_->tanh, kNotANumber)));

  EXPECT_EQ(at(kernels_->log, 1.0f), 0.0f);
  EXPECT_EQ(at(kernels_->log, 0.0f), -kInf);
  EXPECT_EQ(at(kernels_->log, -0.0f), -kInf);
  EXPECT_EQ(at(kernels_->log, kInf), kInf);
  EXPECT_TRUE(std::isnan(at(kernels_->log, -1.0f)));
  EXPECT_TRUE(std::isnan(at(kernels_->log, -kInf)));
  EXPECT_TRUE(std::isnan(at(kernels_->log, kNotANumber)));
}

TEST_P(PacketTest, TanhIsOddAndMonotonicAtTheEnds) {
  for (float x = 1e-30f; x < 40; x *= 1.37f)
    EXPECT_EQ(at(kernels_->tanh, -x), -at(kernels_->tanh, x)) << x;
  for (float x = 8; x < 12; x = std::nextafter(x, 99.0f) + 1e-4f) {
    EXPECT_LE(at(kernels_->tanh, x), 1.0f) << x;
    EXPECT_GE(at(kernels_->tanh, x), 0.9999f) << x;
  }
}

// Two roundings after an exponential of at most 1.1 ulp, without cancellation.
TEST_P(PacketTest, TemplatesWrittenForScalarsRunOnPackets) {
  for (float x = -80; x < 80; x += 0.37f)
    EXPECT_LE(ulps(at(kernels_->logistic, x), 1 / (1 + std::exp(-static_cast<double>(x)))), 3.0)
        << x;
  EXPECT_EQ(at(kernels_->logistic, -kInf), 0.0f);
  EXPECT_EQ(at(kernels_->logistic, kInf), 1.0f);
}

TEST_P(PacketTest, ArithmeticEqualsScalar) {
  check(kernels_->add, [](float a, float b) { return a + b; });
  check(kernels_->subtract, [](float a, float b) { return a - b; });
  check(kernels_->multiply, [](float a, float b) { return a * b; });
  check(kernels_->divide, [](float a, float b) { return a / b; });
  check(kernels_->min, [](float a, float b) { return std::min(a, b); });
  check(kernels_->max, [](float a, float b) { return std::max(a, b); });
  check(kernels_->copysign,
        [](float a, float b) { return std::isnan(a) ? a : std::copysign(a, b); });
  check(kernels_->fma, [](float a, float b) {
    const volatile float product = a * b;  // keeps the compiler from fusing
    return GetParam() == Isa::kBaseline ? product + a : std::fma(a, b, a);
  });
  EXPECT_EQ(at(kernels_->abs, -3.0f), 3.0f);
  EXPECT_FALSE(std::signbit(at(kernels_->abs, -0.0f)));
  EXPECT_TRUE(std::signbit(at(kernels_->negative, 0.0f)));
}

TEST_P(PacketTest, ComparisonsEqualScalar) {
  check(kernels_->less, [](float a, float b) { return a < b ? 1.0f : 0.0f; });
  check(kernels_->less_equal, [](float a, float b) { return a <= b ? 1.0f : 0.0f; });
  check(kernels_->equal, [](float a, float b) { return a == b ? 1.0f : 0.0f; });
  check(kernels_->not_equal, [](float a, float b) { return a != b ? 1.0f : 0.0f; });
  check(kernels_->greater, [](float a, float b) { return a > b ? 1.0f : 0.0f; });
  check(kernels_->greater_equal, [](float a, float b) { return a >= b ? 1.0f : 0.0f; });
  check(kernels_->between,
        [](float a, float b) { return a < b && !(a < -b || a == -b) ? 1.0f : 0.0f; });
}

TEST_P(PacketTest, PartialAccessTouchesNothingElse) {
  for (std::int64_t n = 0; n <= 35; ++n) {
    // Exactly n floats, so that an address sanitizer detects a read past them.
    const std::vector<float> x(static_cast<std::size_t>(n), 2.0f);
    std::vector<float> y(static_cast<std::size_t>(n) + 20, 7.0f);
    kernels_->negative(x.data(), y.data(), n);
    for (std::int64_t i = 0; i < n + 20; ++i)
      EXPECT_EQ(y[static_cast<std::size_t>(i)], i < n ? -2.0f : 7.0f) << n << " " << i;
  }
}

TEST_P(PacketTest, ReductionsTakeEveryLaneInAFixedOrder) {
  const int width = kernels_->width;
  std::vector<float> x(static_cast<std::size_t>(width));
  for (int lane = 0; lane < width; ++lane) {
    std::fill(x.begin(), x.end(), -3.0f);
    x[static_cast<std::size_t>(lane)] = 5.0f;
    EXPECT_EQ(kernels_->largest(x.data()), 5.0f);
    EXPECT_EQ(kernels_->sum(x.data()), 5.0f - 3.0f * static_cast<float>(width - 1));
  }
  std::mt19937 rng(11);
  std::uniform_real_distribution<float> draw(-1, 1);
  for (float& v : x) v = draw(rng);
  std::vector<float> halves = x;
  while (halves.size() > 1) {
    const std::size_t half = halves.size() / 2;
    for (std::size_t i = 0; i < half; ++i) halves[i] += halves[i + half];
    halves.resize(half);
  }
  EXPECT_EQ(kernels_->sum(x.data()), halves[0]);
}

INSTANTIATE_TEST_SUITE_P(EachIsa, PacketTest,
                         ::testing::Values(Isa::kAvx512, Isa::kAvx2, Isa::kBaseline),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace
}  // namespace unroll::host
