/// Elementwise kernels with broadcasting, and the operators and functions built on them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"

namespace unroll::test {
namespace {

constexpr float kAlpha = 1.5F, kBeta = -0.75F;

struct KindCase {
  const char* name;
  ElementwiseKind kind;
  bool binary;
  double low, high;  // the range of a and b
  /// The result is rounded once, and each intermediate (up to three, of size below 8) once more.
  /// tanh, exp, log, sin and cos are within 2 ulp by the CUDA manual, pow and erfc within 4; the
  /// CPU must reach the same.
  double ulps;
  float alpha = kAlpha, beta = kBeta;
};

const KindCase kKinds[] = {
    {"copy", ElementwiseKind::kCopy, false, -4, 4, 0},
    {"affine", ElementwiseKind::kAffine, false, -4, 4, 4},  // alpha a < 8: half an ulp is 4 of 1's
    {"add", ElementwiseKind::kAdd, true, -4, 4, 1},
    {"subtract", ElementwiseKind::kSubtract, true, -4, 4, 1},
    {"multiply", ElementwiseKind::kMultiply, true, -4, 4, 1},
    {"divide", ElementwiseKind::kDivide, true, 0.5, 4, 2},
    {"tanh", ElementwiseKind::kTanh, false, -6, 6, 3},
    {"logistic", ElementwiseKind::kLogistic, false, -12, 12, 4},
    {"relu", ElementwiseKind::kRelu, false, -4, 4, 0},
    {"exp", ElementwiseKind::kExp, false, -80, 80, 3},
    {"log", ElementwiseKind::kLog, false, 1e-30, 100, 3},
    {"abs", ElementwiseKind::kAbs, false, -4, 4, 0},
    {"maximum", ElementwiseKind::kMaximum, true, -1, 1, 0},
    {"minimum", ElementwiseKind::kMinimum, true, -1, 1, 0},
    {"leaky relu", ElementwiseKind::kLeakyRelu, false, -4, 4, 1, 0.3F},
    {"gelu", ElementwiseKind::kGelu, false, -6, 6, 6},
    {"softplus", ElementwiseKind::kSoftplus, false, -30, 30, 4},
    {"sqrt", ElementwiseKind::kSqrt, false, 0, 100, 1},
    {"sin", ElementwiseKind::kSin, false, -100, 100, 2},
    {"cos", ElementwiseKind::kCos, false, -100, 100, 2},
    {"power", ElementwiseKind::kPower, true, 0.1, 3, 5},
    {"clip", ElementwiseKind::kClip, false, -3, 3, 0, -1.25F, 0.75F},
    {"finite", ElementwiseKind::kFinite, false, -4, 4, 0},
    {"tanh gradient", ElementwiseKind::kTanhGradient, true, -1, 1, 3},
    {"logistic gradient", ElementwiseKind::kLogisticGradient, true, 0, 1, 3},
    {"relu gradient", ElementwiseKind::kReluGradient, true, -1, 1, 0},
    {"abs gradient", ElementwiseKind::kAbsGradient, true, -1, 1, 0},
    {"maximum share", ElementwiseKind::kMaximumShare, true, -1, 1, 0},
    {"leaky relu gradient", ElementwiseKind::kLeakyReluGradient, true, -1, 1, 1, 0.3F},
    // A probability and |x| density of at most 1 with 8 roundings, times at most 3.
    {"gelu gradient", ElementwiseKind::kGeluGradient, true, -3, 3, 24},
    {"clip gradient", ElementwiseKind::kClipGradient, true, -3, 3, 0, -1.25F, 0.75F},
    {"power base slope", ElementwiseKind::kPowerBaseSlope, true, 0.3, 3, 7},
    {"power exponent slope", ElementwiseKind::kPowerExponentSlope, true, 0.3, 3, 8},
};
// All but those that give bool.
static_assert(std::size(kKinds) == std::size_t(ElementwiseKind::kEqual));

double normal_below(double x) {
  return (1 + std::erf(x / std::numbers::sqrt2)) / 2;
}

double expected_of(const KindCase& test, double a, double b) {
  const auto alpha = double(test.alpha), beta = double(test.beta);
  switch (test.kind) {
    case ElementwiseKind::kCopy:
      return a;
    case ElementwiseKind::kAffine:
      return alpha * a + beta;
    case ElementwiseKind::kAdd:
      return a + b;
    case ElementwiseKind::kSubtract:
      return a - b;
    case ElementwiseKind::kMultiply:
      return a * b;
    case ElementwiseKind::kDivide:
      return a / b;
    case ElementwiseKind::kTanh:
      return std::tanh(a);
    case ElementwiseKind::kLogistic:
      return reference::logistic(a);
    case ElementwiseKind::kRelu:
      return reference::relu(a);
    case ElementwiseKind::kExp:
      return std::exp(a);
    case ElementwiseKind::kLog:
      return std::log(a);
    case ElementwiseKind::kAbs:
      return std::abs(a);
    case ElementwiseKind::kMaximum:
      return std::max(a, b);
    case ElementwiseKind::kMinimum:
      return std::min(a, b);
    case ElementwiseKind::kLeakyRelu:
      return a > 0 ? a : alpha * a;
    case ElementwiseKind::kGelu:
      return a * normal_below(a);
    case ElementwiseKind::kSoftplus:
      return std::log(1 + std::exp(a));
    case ElementwiseKind::kSqrt:
      return std::sqrt(a);
    case ElementwiseKind::kSin:
      return std::sin(a);
    case ElementwiseKind::kCos:
      return std::cos(a);
    case ElementwiseKind::kPower:
      return std::pow(a, b);
    case ElementwiseKind::kClip:
      return std::min(std::max(a, alpha), beta);
    case ElementwiseKind::kAbsGradient:
      return a > 0 ? b : a < 0 ? -b : 0;
    case ElementwiseKind::kMaximumShare:
      return a > b ? 1 : a == b ? 0.5 : 0;
    case ElementwiseKind::kLeakyReluGradient:
      return a > 0 ? b : alpha * b;
    case ElementwiseKind::kGeluGradient:
      return b * (normal_below(a) + a * std::exp(-a * a / 2) / std::sqrt(2 * std::numbers::pi));
    case ElementwiseKind::kClipGradient:
      return a >= alpha && a <= beta ? b : 0;
    case ElementwiseKind::kPowerBaseSlope:
      return b * std::pow(a, b - 1);
    case ElementwiseKind::kPowerExponentSlope:
      return std::pow(a, b) * std::log(a);
    case ElementwiseKind::kFinite:
      return std::isfinite(a) ? a : 0;
    case ElementwiseKind::kTanhGradient:
      return b * (1 - a * a);
    case ElementwiseKind::kLogisticGradient:
      return b * a * (1 - a);
    case ElementwiseKind::kReluGradient:
      return a > 0 ? b : 0;
    default:
      return std::nan("");
  }
}

/// Pairs of operand shapes around the sizes of a vector, a warp and a block, and every way in which
/// an axis can broadcast.
std::vector<std::pair<Dims, Dims>> shape_pairs() {
  std::vector<std::pair<Dims, Dims>> pairs;
  for (const std::int64_t n : {1, 31, 32, 33, 255, 256, 257}) {
    pairs.push_back({{n}, {n}});
    pairs.push_back({{3, n}, {3, n}});
    pairs.push_back({{3, n}, {n}});
    pairs.push_back({{n}, {3, n}});
    pairs.push_back({{n, 3}, {n, 1}});
    pairs.push_back({{3, n}, {}});
    pairs.push_back({{1}, {2, n}});
    pairs.push_back({{n, 1}, {1, 5}});
  }
  for (const std::int64_t n : {2, 3, 4, 5, 6, 7, 8, 9}) {  // packs of four and remainders
    pairs.push_back({{5, n}, {n}});
    pairs.push_back({{5, 1}, {5, n}});
    pairs.push_back({{2, 3, n}, {2, 1, n}});
  }
  for (const std::int64_t n : {1023, 1024, 1025}) pairs.push_back({{n}, {2, n}});
  pairs.push_back({{}, {}});
  pairs.push_back({{2, 1, 3, 33}, {1, 5, 1, 33}});
  pairs.push_back({{2, 3, 1, 1, 2, 7}, {1, 3, 2, 1, 1, 7}});
  pairs.push_back({{1, 2, 1, 3, 1, 5}, {2, 1, 2, 1, 4, 1}});
  return pairs;
}

class ElementwiseKernel : public OnEachBackend {
 protected:
  Reals operand(const KindCase& test, const Dims& dims) {
    Reals values = random_.array(dims, test.low, test.high);
    using Kind = ElementwiseKind;
    if (test.kind == Kind::kMaximumShare || test.kind == Kind::kMaximum)  // so that some are equal
      for (double& x : values.values) x = std::round(x * 2);
    for (const Kind kind : {Kind::kReluGradient, Kind::kRelu, Kind::kAbsGradient,
                            Kind::kLeakyReluGradient, Kind::kLeakyRelu})
      if (test.kind == kind) values.values[0] = 0;  // the kink
    if (test.kind == Kind::kClipGradient) values.values[0] = double(test.alpha);
    return values;
  }

  Random random_{17};
};

TEST_P(ElementwiseKernel, EveryKindAndBroadcastMatchesFloat64) {
  for (const KindCase& test : kKinds)
    for (const auto& [a_dims, b_dims] : shape_pairs()) {
      SCOPED_TRACE(::testing::Message() << test.name << " " << to_string(shape_of(a_dims)) << " "
                                        << to_string(shape_of(b_dims)));
      const Reals a = operand(test, a_dims), b = operand(test, b_dims);
      // An operation on a only broadcasts it to the same result.
      const Reals expected =
          reference::zip(a, b, [&](double x, double y) { return expected_of(test, x, y); });
      const View out = memory_->out(shape_of(expected.dims));
      backend_->elementwise({.kind = test.kind,
                             .a = memory_->in(a),
                             .b = test.binary ? memory_->in(b) : View{},
                             .out = out,
                             .alpha = double(test.alpha),
                             .beta = double(test.beta)});
      EXPECT_TRUE(close(memory_->get(out), expected.values, test.ulps));
      finish_case();
    }
}

TEST_P(ElementwiseKernel, OutMayBeAnOperand) {
  for (const KindCase& test : kKinds)
    for (const std::int64_t n : {1, 33, 257}) {
      SCOPED_TRACE(::testing::Message() << test.name << " " << n);
      const Reals a = operand(test, {n}), b = operand(test, {n});
      const Reals expected =
          reference::zip(a, b, [&](double x, double y) { return expected_of(test, x, y); });
      for (const bool onto_b : {false, true}) {
        if (onto_b && !test.binary) continue;
        const View a_view = onto_b ? memory_->in(a) : memory_->inout(a);
        const View b_view = !test.binary ? View{} : onto_b ? memory_->inout(b) : memory_->in(b);
        const View out = onto_b ? b_view : a_view;
        backend_->elementwise({.kind = test.kind,
                               .a = a_view,
                               .b = b_view,
                               .out = out,
                               .alpha = double(test.alpha),
                               .beta = double(test.beta)});
        EXPECT_TRUE(close(memory_->get(out), expected.values, test.ulps));
      }
      finish_case();
    }
}

TEST_P(ElementwiseKernel, OperandsNeedNoAlignment) {
  const KindCase& add = kKinds[2];
  ASSERT_EQ(add.kind, ElementwiseKind::kAdd);
  for (const int shifted : {0, 1, 2})  // a, b, out
    for (const std::int64_t n : {1, 4, 8, 33, 1024})
      for (const Dims& b_dims : {Dims{3, n}, Dims{n}}) {
        SCOPED_TRACE(::testing::Message() << shifted << " of " << n);
        const Reals a = operand(add, {3, n}), b = operand(add, b_dims);
        const Reals expected = reference::zip(a, b, [](double x, double y) { return x + y; });
        memory_->shift_by(shifted == 0 ? 1 : 0);
        const View a_view = memory_->in(a);
        memory_->shift_by(shifted == 1 ? 2 : 0);
        const View b_view = memory_->in(b);
        memory_->shift_by(shifted == 2 ? 3 : 0);
        const View out = memory_->out({3, n});
        backend_->elementwise({.kind = add.kind, .a = a_view, .b = b_view, .out = out});
        EXPECT_TRUE(close(memory_->get(out), expected.values, add.ulps));
        finish_case();
      }
}

TEST_P(ElementwiseKernel, ExtremesSaturateAndNanPassesThrough) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  struct Extreme {
    ElementwiseKind kind;
    float a, expected;
    float b = 1;
  };
  const Extreme table[] = {
      {ElementwiseKind::kTanh, 30, 1},
      {ElementwiseKind::kTanh, -30, -1},
      {ElementwiseKind::kTanh, kInf, 1},
      {ElementwiseKind::kTanh, -kInf, -1},
      {ElementwiseKind::kTanh, 0, 0},
      {ElementwiseKind::kLogistic, 200, 1},
      {ElementwiseKind::kLogistic, -200, 0},
      {ElementwiseKind::kLogistic, -kInf, 0},
      {ElementwiseKind::kLogistic, kInf, 1},
      {ElementwiseKind::kLogistic, 0, 0.5F},
      {ElementwiseKind::kExp, 90, kInf},
      {ElementwiseKind::kExp, -110, 0},
      {ElementwiseKind::kExp, 0, 1},
      {ElementwiseKind::kExp, kInf, kInf},
      {ElementwiseKind::kExp, -kInf, 0},
      {ElementwiseKind::kLog, 0, -kInf},
      {ElementwiseKind::kLog, 1, 0},
      {ElementwiseKind::kLog, kInf, kInf},
      {ElementwiseKind::kLog, -1, kNan},
      {ElementwiseKind::kTanh, kNan, kNan},
      {ElementwiseKind::kLogistic, kNan, kNan},
      {ElementwiseKind::kRelu, kNan, kNan},
      {ElementwiseKind::kExp, kNan, kNan},
      {ElementwiseKind::kLog, kNan, kNan},
      {ElementwiseKind::kFinite, kNan, 0},
      {ElementwiseKind::kFinite, kInf, 0},
      {ElementwiseKind::kFinite, -kInf, 0},
      {ElementwiseKind::kFinite, 3e38F, 3e38F},
      {ElementwiseKind::kRelu, kInf, kInf},
      {ElementwiseKind::kRelu, -kInf, 0},
      {ElementwiseKind::kAbs, -kInf, kInf},
      {ElementwiseKind::kAbs, -0.0F, 0},
      {ElementwiseKind::kAbs, kNan, kNan},
      {ElementwiseKind::kMaximum, kNan, kNan, 1},
      {ElementwiseKind::kMaximum, 1, kNan, kNan},
      {ElementwiseKind::kMaximum, -kInf, -kInf, -kInf},
      {ElementwiseKind::kMinimum, kNan, kNan, 1},
      {ElementwiseKind::kMinimum, 1, kNan, kNan},
      {ElementwiseKind::kMinimum, kInf, 2, 2},
      {ElementwiseKind::kMaximumShare, kNan, kNan, 1},
      {ElementwiseKind::kMaximumShare, 1, kNan, kNan},
      {ElementwiseKind::kMaximumShare, kInf, 1, -kInf},
      {ElementwiseKind::kMaximumShare, -kInf, 0, kInf},
      {ElementwiseKind::kMaximumShare, kInf, 0.5F, kInf},
      {ElementwiseKind::kLeakyRelu, -kInf, kInf},
      {ElementwiseKind::kLeakyRelu, kInf, kInf},
      {ElementwiseKind::kLeakyRelu, kNan, kNan},
      {ElementwiseKind::kGelu, -kInf, 0},
      {ElementwiseKind::kGelu, -1e30F, 0},
      {ElementwiseKind::kGelu, -14, 0},
      {ElementwiseKind::kGelu, 0, 0},
      {ElementwiseKind::kGelu, 30, 30},
      {ElementwiseKind::kGelu, kInf, kInf},
      {ElementwiseKind::kGelu, kNan, kNan},
      {ElementwiseKind::kGeluGradient, -kInf, 0, 3},
      {ElementwiseKind::kGeluGradient, kInf, 3, 3},
      {ElementwiseKind::kGeluGradient, kNan, kNan, 3},
      {ElementwiseKind::kSoftplus, -kInf, 0},
      {ElementwiseKind::kSoftplus, -200, 0},
      {ElementwiseKind::kSoftplus, 1000, 1000},
      {ElementwiseKind::kSoftplus, kInf, kInf},
      {ElementwiseKind::kSoftplus, kNan, kNan},
      {ElementwiseKind::kSqrt, -1, kNan},
      {ElementwiseKind::kSqrt, 0, 0},
      {ElementwiseKind::kSqrt, kInf, kInf},
      {ElementwiseKind::kSqrt, kNan, kNan},
      {ElementwiseKind::kSin, 0, 0},
      {ElementwiseKind::kSin, kInf, kNan},
      {ElementwiseKind::kSin, kNan, kNan},
      {ElementwiseKind::kCos, 0, 1},
      {ElementwiseKind::kCos, -kInf, kNan},
      {ElementwiseKind::kCos, kNan, kNan},
      {ElementwiseKind::kPower, 0, 1, 0},
      {ElementwiseKind::kPower, kNan, 1, 0},
      {ElementwiseKind::kPower, 1, 1, kNan},
      {ElementwiseKind::kPower, 2, kNan, kNan},
      {ElementwiseKind::kPower, -2, -8, 3},
      {ElementwiseKind::kPower, -2, kNan, 0.5F},
      {ElementwiseKind::kPower, 0, kInf, -1},
      {ElementwiseKind::kPower, 2, kInf, kInf},
      {ElementwiseKind::kPower, 2, 0, -kInf},
      {ElementwiseKind::kPower, kInf, 0, -1},
      {ElementwiseKind::kPowerBaseSlope, 0, 0, 0},
      {ElementwiseKind::kPowerBaseSlope, 0, 1, 1},
      {ElementwiseKind::kPowerBaseSlope, 0, 0, 2},
      {ElementwiseKind::kPowerBaseSlope, -3, -6, 2},
      {ElementwiseKind::kPowerBaseSlope, kNan, kNan, 2},
      {ElementwiseKind::kPowerExponentSlope, 0, 0, 0},
      {ElementwiseKind::kPowerExponentSlope, 0, 0, 2},
      {ElementwiseKind::kPowerExponentSlope, 0, -kInf, -1},
      {ElementwiseKind::kPowerExponentSlope, kNan, kNan, 2},
      {ElementwiseKind::kClip, kInf, 0.5F},
      {ElementwiseKind::kClip, -kInf, -2},
      {ElementwiseKind::kClip, kNan, kNan},
      {ElementwiseKind::kClipGradient, 0.5F, 3, 3},
      {ElementwiseKind::kClipGradient, -2, 3, 3},
      {ElementwiseKind::kClipGradient, 0.51F, 0, 3},
      {ElementwiseKind::kAbsGradient, 0, 0, 3},
      {ElementwiseKind::kAbsGradient, kNan, kNan, 3},
  };
  // 20 copies: vector lanes and the scalar tail must agree.
  for (const Extreme& row : table) {
    SCOPED_TRACE(::testing::Message()
                 << "kind " << int(row.kind) << " of " << row.a << " and " << row.b);
    const View out = memory_->out({20});
    backend_->elementwise({.kind = row.kind,
                           .a = memory_->in(std::vector<float>(20, row.a), {20}),
                           .b = memory_->in(std::vector<float>(20, row.b), {20}),
                           .out = out,
                           .alpha = -2,  // the slope of leaky relu, and the lower limit of clip
                           .beta = 0.5});
    for (const float actual : memory_->get(out)) {
      const bool as_expected = std::isnan(row.expected) ? std::isnan(actual)
                               : std::isinf(row.expected)
                                   ? actual == row.expected
                                   : std::abs(actual - row.expected) < 1e-37F;
      EXPECT_TRUE(as_expected) << actual << ", expected " << row.expected;
    }
    finish_case();
  }
}

TEST_P(ElementwiseKernel, SmallResultsKeepTheirRelativeAccuracy) {
  const Reals x = random_.array({257}, -80, -1), lower = random_.array({257}, -5, -1);
  const auto run = [&](ElementwiseKind kind, const Reals& in) {
    const View out = memory_->out({257});
    backend_->elementwise({.kind = kind, .a = memory_->in(in), .b = {}, .out = out});
    return memory_->get(out);
  };
  const Reals softplus = reference::map(x, [](double a) { return std::log1p(std::exp(a)); });
  EXPECT_TRUE(
      close_to_sums(run(ElementwiseKind::kSoftplus, x), softplus.values, 6, softplus.values));
  // Half an ulp of the argument, z^2 = 12.5, counts 2 z^2 times in erfc(z); erfc itself has 4.
  const Reals gelu =
      reference::map(lower, [](double a) { return a * std::erfc(-a / std::numbers::sqrt2) / 2; });
  EXPECT_TRUE(close_to_sums(run(ElementwiseKind::kGelu, lower), gelu.values, 2 * 12.5 + 6,
                            reference::map(gelu, [](double a) { return -a; }).values));
}

UNROLL_FOR_EACH_BACKEND(ElementwiseKernel);

template <typename F>
GraphCase unary(const char* name, Tensor (*op)(Tensor), F f, double low, double high) {
  return {.name = name,
          .operands = {{{3, 33}, low, high}},
          .build = [op](const auto& x) { return op(x[0]); },
          .reference = [f](const auto& x) { return reference::map(x[0], f); }};
}

template <typename F>
GraphCase binary(const char* name, Tensor (*op)(Tensor, Tensor), F f, Dims a, Dims b) {
  // A broadcast operand's gradient sums up to 33 terms of at most 4: 33 roundings of partial sums
  // that wander up to about sqrt(33) 4.
  return {.name = name,
          .operands = {{a, 0.5, 2}, {b, 0.5, 2}},
          .build = [op](const auto& x) { return op(x[0], x[1]); },
          .reference = [f](const auto& x) { return reference::zip(x[0], x[1], f); },
          .gradient_ulps = 33,
          .gradient_scale = 4};
}

std::vector<GraphCase> elementwise_cases() {
  const auto add = [](Complex a, Complex b) { return a + b; };
  const auto subtract = [](Complex a, Complex b) { return a - b; };
  const auto multiply = [](Complex a, Complex b) { return a * b; };
  const auto divide = [](Complex a, Complex b) { return a / b; };
  const auto greater = [](Complex a, Complex b) { return a.real() > b.real() ? a : b; };
  const auto lesser = [](Complex a, Complex b) { return a.real() < b.real() ? a : b; };
  const auto power = [](Complex a, Complex b) { return std::pow(a, b); };
  std::vector<GraphCase> all = {
      unary(
          "tanh", tanh, [](Complex x) { return std::tanh(x); }, -3, 3),
      unary("logistic", logistic, reference::logistic<Complex>, -5, 5),
      unary("relu", relu, reference::relu<Complex>, -2, 2),
      unary(
          "exp", exp, [](Complex x) { return std::exp(x); }, -3, 2),
      unary(
          "log", log, [](Complex x) { return std::log(x); }, 0.2, 9),
      unary(
          "abs", abs, [](Complex x) { return x.real() < 0 ? -x : x; }, -2, 2),
      unary(
          "leaky relu", [](Tensor x) { return leaky_relu(x); },
          [](Complex x) { return x.real() < 0 ? 0.01 * x : x; }, -2, 2),
      unary(
          "leaky relu of 0.3", [](Tensor x) { return leaky_relu(x, 0.3); },
          [](Complex x) { return x.real() < 0 ? 0.3 * x : x; }, -2, 2),
      unary("gelu", gelu, reference::gelu<Complex>, -3, 3),
      unary(
          "softplus", softplus, [](Complex x) { return std::log(1.0 + std::exp(x)); }, -5, 5),
      unary(
          "sqrt", sqrt, [](Complex x) { return std::sqrt(x); }, 0.3, 9),
      unary(
          "sin", sin, [](Complex x) { return std::sin(x); }, -9, 9),
      unary(
          "cos", cos, [](Complex x) { return std::cos(x); }, -9, 9),
      unary(
          "x^2.5", [](Tensor x) { return pow(x, 2.5); }, [](Complex x) { return std::pow(x, 2.5); },
          0.3, 2),
      unary(
          "x^2 of both signs", [](Tensor x) { return pow(x, 2); }, [](Complex x) { return x * x; },
          -2, 2),
      unary(
          "x^-1", [](Tensor x) { return pow(x, -1); }, [](Complex x) { return 1.0 / x; }, 0.7, 2),
      unary(
          "clip", [](Tensor x) { return clip(x, -0.5, 1); },
          [](Complex x) { return x.real() < -0.5 ? -0.5
                                 : x.real() > 1  ? 1.0
                                                 : x; }, -2, 2),
      unary(
          "negate", [](Tensor x) { return -x; }, [](Complex x) { return -x; }, -2, 2),
      unary(
          "x + s", [](Tensor x) { return x + 3; }, [](Complex x) { return x + 3.0; }, -2, 2),
      unary(
          "s + x", [](Tensor x) { return 3 + x; }, [](Complex x) { return 3.0 + x; }, -2, 2),
      unary(
          "x - s", [](Tensor x) { return x - 3; }, [](Complex x) { return x - 3.0; }, -2, 2),
      unary(
          "s - x", [](Tensor x) { return 3 - x; }, [](Complex x) { return 3.0 - x; }, -2, 2),
      unary(
          "x * s", [](Tensor x) { return x * 3; }, [](Complex x) { return x * 3.0; }, -2, 2),
      unary(
          "s * x", [](Tensor x) { return 3 * x; }, [](Complex x) { return 3.0 * x; }, -2, 2),
      unary(
          "x / s", [](Tensor x) { return x / 3; }, [](Complex x) { return x / 3.0; }, -2, 2),
      unary(
          "s / x", [](Tensor x) { return 3 / x; }, [](Complex x) { return 3.0 / x; }, 0.7, 2),
  };
  const std::pair<Dims, Dims> shapes[] = {
      {{3, 11}, {3, 11}}, {{3, 11}, {11}}, {{11}, {3, 11}},           {{3, 11}, {3, 1}},
      {{3, 11}, {}},      {{1}, {3, 11}},  {{3, 1, 4}, {1, 5, 1}},    {{}, {}},
      {{33}, {}},         {{}, {33}},      {{2, 1, 3, 1}, {4, 1, 2}},
  };
  for (const auto& [a, b] : shapes) {
    all.push_back(binary("add", operator+, add, a, b));
    all.push_back(binary("subtract", operator-, subtract, a, b));
    all.push_back(binary("multiply", operator*, multiply, a, b));
    all.push_back(binary("divide", operator/, divide, a, b));
    all.push_back(binary("maximum", maximum, greater, a, b));
    all.push_back(binary("minimum", minimum, lesser, a, b));
    all.push_back(binary("power", pow, power, a, b));
  }
  // Both operands are the same tensor: d(x x) = 2 x dx.
  all.push_back(
      {.name = "square",
       .operands = {{{3, 11}}},
       .build = [](const auto& x) { return x[0] * x[0]; },
       .reference = [multiply](const auto& x) { return reference::zip(x[0], x[0], multiply); }});
  return all;
}

class ElementwiseOps : public OnEachBackend {};

TEST_P(ElementwiseOps, ValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : elementwise_cases()) check_graph_case(test, backend_);
}

TEST_P(ElementwiseOps, ComparisonsHaveNoGradient) {
  Graph g;
  const Tensor a = g.placeholder("a", {4}), b = g.placeholder("b", {4});
  const Tensor y = cast(equal(a, b), DType::kFloat32) * b;
  const std::vector<Tensor> slopes = dense_gradients(reduce_sum(y), {a, b});
  const std::vector<float> av{1, 2, 3, 4}, bv{1, -2, 3, -4};
  const std::vector<Feed> feeds{{a, av}, {b, bv}};
  const std::vector<Tensor> fetches{y, slopes[0], slopes[1]};
  Session session(g, backend_);
  session.run(fetches, feeds);
  EXPECT_EQ(session.read(y), (std::vector<float>{1, 0, 3, 0}));
  EXPECT_EQ(session.read(slopes[0]), (std::vector<float>{0, 0, 0, 0}));
  EXPECT_EQ(session.read(slopes[1]), (std::vector<float>{1, 0, 1, 0}));
}

TEST_P(ElementwiseOps, TwoThatAreEqualShareTheGradient) {
  Graph g;
  const Tensor a = g.placeholder("a", {3}), b = g.placeholder("b", {3}),
               w = g.placeholder("w", {3});
  for (const bool greatest : {true, false}) {
    const Tensor y = greatest ? maximum(a, b) : minimum(a, b);
    const std::vector<Tensor> slopes = dense_gradients(reduce_sum(w * y), {a, b});
    const std::vector<float> av{1, 5, -2}, bv{3, 5, -4}, wv{10, 20, 30};
    Session session(g, backend_);
    session.run(slopes, std::vector<Feed>{{a, av}, {b, bv}, {w, wv}});
    const std::vector<float> lower{10, 10, 0}, upper{0, 10, 30};
    EXPECT_EQ(session.read(slopes[0]), greatest ? upper : lower);
    EXPECT_EQ(session.read(slopes[1]), greatest ? lower : upper);
  }
}

TEST_P(ElementwiseOps, GradientsAtKinksAndLimits) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  const auto slope_of = [&](Tensor y, const std::vector<float>& at) {
    const Tensor slope = dense_gradients(reduce_sum(y), {x})[0];
    Session session(g, backend_);
    return session.evaluate(slope, {{x, at}});
  };
  const std::vector<float> around{-1, 0, 1};
  EXPECT_EQ(slope_of(abs(x), around), (std::vector<float>{-1, 0, 1}));
  EXPECT_EQ(slope_of(leaky_relu(x, 0.25), around), (std::vector<float>{0.25F, 0.25F, 1}));
  EXPECT_EQ(slope_of(clip(x, -1, 0), {-1.5F, -1, 0}), (std::vector<float>{0, 1, 1}));
  EXPECT_EQ(slope_of(clip(x, 0, 0), around), (std::vector<float>{0, 1, 0}));
  EXPECT_EQ(slope_of(pow(x, 0), around), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(slope_of(pow(x, 1), around), (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(slope_of(pow(x, 3), around), (std::vector<float>{3, 0, 3}));
  EXPECT_EQ(slope_of(softplus(x), {-1000, 0, 1000}), (std::vector<float>{0, 0.5F, 1}));
  EXPECT_EQ(slope_of(gelu(x), {-1e30F, 0, 1e30F}), (std::vector<float>{0, 0.5F, 1}));
}

TEST_P(ElementwiseOps, ReluHasNoGradientAtItsKink) {
  Graph g;
  const Tensor x = g.placeholder("x", {3});
  const Tensor slope = dense_gradients(reduce_sum(relu(x)), {x})[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope, {{x, std::vector<float>{-1, 0, 1}}}),
            (std::vector<float>{0, 0, 1}));
}

UNROLL_FOR_EACH_BACKEND(ElementwiseOps);

TEST(ElementwiseShapes, DisagreeingShapesAreRejected) {
  Graph g;
  const Tensor a = g.placeholder("a", {3, 4}), b = g.placeholder("b", {3}),
               c = g.placeholder("c", {2, 4}), d = g.placeholder("d", {5, 3, 1});
  EXPECT_THROW(a + b, std::invalid_argument);
  EXPECT_THROW(b - a, std::invalid_argument);
  EXPECT_THROW(a * c, std::invalid_argument);
  EXPECT_THROW(a / c, std::invalid_argument);
  EXPECT_THROW(equal(a, c), std::invalid_argument);
  EXPECT_EQ((a + d).shape(), (Shape{5, 3, 4}));
}

TEST(ElementwiseShapes, FunctionsAreOfFloat32) {
  Graph g;
  const Tensor ids = g.placeholder("ids", {3}, DType::kInt32);
  for (Tensor (*const op)(Tensor) :
       {static_cast<Tensor (*)(Tensor)>(tanh), static_cast<Tensor (*)(Tensor)>(exp),
        static_cast<Tensor (*)(Tensor)>(log), static_cast<Tensor (*)(Tensor)>(sqrt),
        static_cast<Tensor (*)(Tensor)>(sin), static_cast<Tensor (*)(Tensor)>(cos), &gelu,
        &softplus, &relu, &logistic})
    EXPECT_THROW(op(ids), std::invalid_argument);
  EXPECT_THROW(leaky_relu(ids), std::invalid_argument);
  EXPECT_THROW(pow(ids, ids), std::invalid_argument);
  EXPECT_THROW(pow(Tensor(), 2), std::invalid_argument);
  EXPECT_THROW(abs(Tensor()), std::invalid_argument);
  const Tensor x = g.placeholder("x", {3});
  EXPECT_THROW(clip(x, 1, 0.5), std::invalid_argument);
  EXPECT_THROW(clip(x, 0, std::nan("")), std::invalid_argument);
}

TEST(ElementwiseShapes, OperandsOfTwoGraphsAreRejected) {
  Graph g, other;
  EXPECT_THROW(g.placeholder("x", {3}) + other.placeholder("x", {3}), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
