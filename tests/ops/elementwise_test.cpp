/// Elementwise kernels with broadcasting, and the operators and functions built on them.
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
  /// tanh, exp and log are within 2 ulp by the CUDA manual; the CPU must reach the same.
  double ulps;
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
    {"equal", ElementwiseKind::kEqual, true, -1, 1, 0},
    {"finite", ElementwiseKind::kFinite, false, -4, 4, 0},
    {"tanh gradient", ElementwiseKind::kTanhGradient, true, -1, 1, 3},
    {"logistic gradient", ElementwiseKind::kLogisticGradient, true, 0, 1, 3},
    {"relu gradient", ElementwiseKind::kReluGradient, true, -1, 1, 0},
};

double expected_of(ElementwiseKind kind, double a, double b) {
  switch (kind) {
    case ElementwiseKind::kCopy:
      return a;
    case ElementwiseKind::kAffine:
      return double(kAlpha) * a + double(kBeta);
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
    case ElementwiseKind::kEqual:
      return a == b ? 1 : 0;
    case ElementwiseKind::kFinite:
      return std::isfinite(a) ? a : 0;
    case ElementwiseKind::kTanhGradient:
      return b * (1 - a * a);
    case ElementwiseKind::kLogisticGradient:
      return b * a * (1 - a);
    case ElementwiseKind::kReluGradient:
      return a > 0 ? b : 0;
  }
  return 0;
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
    if (test.kind == ElementwiseKind::kEqual)  // few values, so that some are equal
      for (double& x : values.values) x = std::round(x * 2);
    if (test.kind == ElementwiseKind::kReluGradient || test.kind == ElementwiseKind::kRelu)
      values.values[0] = 0;  // the kink: no gradient there
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
          reference::zip(a, b, [&](double x, double y) { return expected_of(test.kind, x, y); });
      const View out = memory_->out(shape_of(expected.dims));
      backend_->elementwise({.kind = test.kind,
                             .a = memory_->in(a),
                             .b = test.binary ? memory_->in(b) : View{},
                             .out = out,
                             .alpha = kAlpha,
                             .beta = kBeta});
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
          reference::zip(a, b, [&](double x, double y) { return expected_of(test.kind, x, y); });
      for (const bool onto_b : {false, true}) {
        if (onto_b && !test.binary) continue;
        const View a_view = onto_b ? memory_->in(a) : memory_->inout(a);
        const View b_view = !test.binary ? View{} : onto_b ? memory_->inout(b) : memory_->in(b);
        const View out = onto_b ? b_view : a_view;
        backend_->elementwise({.kind = test.kind,
                               .a = a_view,
                               .b = b_view,
                               .out = out,
                               .alpha = kAlpha,
                               .beta = kBeta});
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
  };
  // 20 copies: vector lanes and the scalar tail must agree.
  for (const Extreme& row : table) {
    SCOPED_TRACE(::testing::Message() << "kind " << int(row.kind) << " of " << row.a);
    const View out = memory_->out({20});
    backend_->elementwise({.kind = row.kind,
                           .a = memory_->in(std::vector<float>(20, row.a), {20}),
                           .b = {},
                           .out = out});
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

TEST_P(ElementwiseKernel, EqualIsFalseForNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const View out = memory_->out({3});
  backend_->elementwise({.kind = ElementwiseKind::kEqual,
                         .a = memory_->in<float>({kNan, 1, 0}, {3}),
                         .b = memory_->in<float>({kNan, 1, -0.0F}, {3}),
                         .out = out});
  EXPECT_EQ(memory_->get(out), (std::vector<float>{0, 1, 1}));
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

TEST_P(ElementwiseOps, EqualHasValueButNoGradient) {
  Graph g;
  const Tensor a = g.placeholder("a", {4}), b = g.placeholder("b", {4});
  const Tensor y = equal(a, b) * b;
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

TEST(ElementwiseShapes, IdsAreNotArithmetic) {
  Graph g;
  const Tensor ids = g.placeholder("ids", {3}, DType::kInt32), x = g.placeholder("x", {3});
  EXPECT_THROW(tanh(ids), std::invalid_argument);
  EXPECT_THROW(ids + x, std::invalid_argument);
  EXPECT_THROW(x * ids, std::invalid_argument);
}

TEST(ElementwiseShapes, OperandsOfTwoGraphsAreRejected) {
  Graph g, other;
  EXPECT_THROW(g.placeholder("x", {3}) + other.placeholder("x", {3}), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
