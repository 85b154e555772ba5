/// Sums, means, extremes and their places over one axis, several, or all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
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

struct KernelCase {
  Dims dims;
  std::vector<bool> reduced;
};

std::vector<KernelCase> kernel_cases() {
  std::vector<KernelCase> all = {
      {{}, {}},
      {{2, 3, 5}, {true, false, true}},
      {{2, 3, 5}, {false, true, false}},
      {{2, 3, 5}, {false, false, false}},
      {{2, 3, 5}, {true, true, true}},
      {{2, 3, 2, 3, 2, 33}, {false, true, false, true, false, true}},
      {{2, 3, 2, 3, 2, 33}, {true, false, true, false, true, false}},
      {{100003}, {true}},
      {{2000, 3}, {true, false}},
      {{3, 2000}, {false, true}},
      {{3, 40000}, {false, true}},
      {{3, 40000}, {true, true}},
      {{700, 65}, {true, false}},
      {{3, 70, 130}, {false, true, false}},
      {{300, 900}, {true, false}},
  };
  for (const std::int64_t n : {2, 3, 4, 5, 6, 7, 8, 9}) {
    all.push_back({{300, n}, {false, true}});
    all.push_back({{n, 300}, {true, false}});
    all.push_back({{n, 2, n}, {true, false, true}});
  }
  for (const std::int64_t n : {1023, 1024, 1025}) {
    all.push_back({{n}, {true}});
    all.push_back({{2, n}, {false, true}});
    all.push_back({{n, 2}, {true, false}});
  }
  for (const std::int64_t n : {1, 31, 32, 33, 255, 256, 257}) {
    all.push_back({{n}, {true}});
    all.push_back({{3, n}, {false, true}});
    all.push_back({{n, 3}, {true, false}});
    all.push_back({{n, 33}, {false, true}});
    all.push_back({{33, n}, {true, false}});
    all.push_back({{5, n, 4}, {false, true, false}});
    all.push_back({{3, n}, {true, true}});
  }
  return all;
}

class ReduceKernel : public OnEachBackend {};

TEST_P(ReduceKernel, SumMatchesFloat64) {
  Random random(5);
  for (const auto& [dims, reduced] : kernel_cases())
    for (const float scale : {1.0F, 0.25F, -3.0F}) {
      SCOPED_TRACE(::testing::Message() << to_string(shape_of(dims)) << " scale " << scale);
      const Reals in = random.array(dims, -1, 1);
      const auto scaled = [&](double x) { return x * double(scale); };
      const Reals expected = reference::map(reference::reduce_sum(in, reduced), scaled);
      const Reals magnitude = reference::map(
          reference::reduce_sum(reference::map(in, [](double x) { return std::abs(x); }), reduced),
          [&](double x) { return x * std::abs(double(scale)); });
      const View out = memory_->out(shape_of(expected.dims));
      backend_->reduce(
          {.kind = ReduceKind::kSum, .in = memory_->in(in), .out = out, .scale = double(scale)});
      // n - 1 additions and the scaling, each half an ulp of at most the sum of |x|.
      const double terms = double(in.values.size()) / double(expected.values.size());
      EXPECT_TRUE(
          close_to_sums(memory_->get(out), expected.values, (terms + 1) / 2, magnitude.values));
      finish_case();
    }
}

TEST_P(ReduceKernel, MaxIsExact) {
  Random random(6);
  for (const auto& [dims, reduced] : kernel_cases()) {
    SCOPED_TRACE(to_string(shape_of(dims)));
    const Reals in = random.array(dims, -9, -1);  // an accumulator that starts from 0 would win
    const Reals expected = reference::reduce_max(in, reduced);
    const View out = memory_->out(shape_of(expected.dims));
    backend_->reduce({.kind = ReduceKind::kMax, .in = memory_->in(in), .out = out});
    EXPECT_TRUE(close(memory_->get(out), expected.values, 0));
    finish_case();
  }
}

TEST_P(ReduceKernel, MinIsExact) {
  Random random(16);
  const auto negative = [](double x) { return -x; };
  for (const auto& [dims, reduced] : kernel_cases()) {
    SCOPED_TRACE(to_string(shape_of(dims)));
    const Reals in = random.array(dims, 1, 9);  // an accumulator that starts from 0 would win
    const Reals expected =
        reference::map(reference::reduce_max(reference::map(in, negative), reduced), negative);
    const View out = memory_->out(shape_of(expected.dims));
    backend_->reduce({.kind = ReduceKind::kMin, .in = memory_->in(in), .out = out});
    EXPECT_TRUE(close(memory_->get(out), expected.values, 0));
    finish_case();
  }
}

/// `reals` as T, with few values, so that many are equal.
template <typename T>
std::vector<T> few_values(const Reals& reals) {
  std::vector<T> values;
  for (const double x : reals.values) values.push_back(T(std::round(x)));
  return values;
}

TEST_P(ReduceKernel, PlacesAreOfTheFirst) {
  Random random(17);
  const auto check = [&]<typename T>(T, const KernelCase& test) {
    const std::vector<T> values = few_values<T>(random.array(test.dims, -9, 9));
    const reference::Array<T> in(test.dims, values);
    const auto negative = [](T x) { return T(-x); };
    for (const bool greatest : {true, false}) {
      const auto expected =
          reference::place_of_max(greatest ? in : reference::map(in, negative), test.reduced);
      const View out = memory_->out(shape_of(expected.dims), DType::kInt64);
      backend_->reduce({.kind = greatest ? ReduceKind::kArgMax : ReduceKind::kArgMin,
                        .in = memory_->in(values, shape_of(test.dims)),
                        .out = out});
      EXPECT_EQ(memory_->get<std::int64_t>(out), expected.values);
    }
    finish_case();
  };
  for (const KernelCase& test : kernel_cases()) {
    SCOPED_TRACE(to_string(shape_of(test.dims)));
    check(float(), test);
    if (test.dims.size() != 2) continue;
    check(double(), test);
    check(std::int32_t(), test);
    check(std::int64_t(), test);
  }
}

TEST_P(ReduceKernel, APlaceIsThatOfTheFirstNan) {
  for (const std::int64_t n : {2, 31, 32, 33, 255, 256, 257, 1000})
    for (const std::int64_t where : {std::int64_t{0}, n / 2, n - 1})
      for (const ReduceKind kind : {ReduceKind::kArgMax, ReduceKind::kArgMin}) {
        std::vector<float> values(std::size_t(n), 1.0F);
        values[0] = kind == ReduceKind::kArgMax ? INFINITY : -INFINITY;
        values[std::size_t(where)] = values[std::size_t(n - 1)] = std::nanf("");
        const View out = memory_->out({1}, DType::kInt64);
        backend_->reduce({.kind = kind, .in = memory_->in(values, {n}), .out = out});
        EXPECT_EQ(memory_->get<std::int64_t>(out), std::vector<std::int64_t>{where}) << n;
        finish_case();
      }
}

TEST_P(ReduceKernel, OtherElementTypesAreExact) {
  Random random(18);
  const auto check = [&]<typename T>(T large, const KernelCase& test) {
    std::vector<T> values = few_values<T>(random.array(test.dims, -9, 9));
    for (T& x : values) x *= large;  // exact in T; float32 could not hold it
    const auto expect = [&](ReduceKind kind, double scale, const auto& combine) {
      const reference::Array<T> in(test.dims, values);
      const Dims dims = reference::reduce_sum(in, test.reduced).dims;
      std::vector<T> expected(reference::elements(dims));
      std::vector<bool> any(expected.size(), false);
      std::size_t k = 0;
      reference::for_each_index(test.dims, [&](const Dims& index) {
        const reference::Array<T> shape(dims);
        const auto at = std::size_t(&reference::broadcast_at(shape, index) - shape.values.data());
        expected[at] = any[at] ? combine(expected[at], values[k]) : values[k];
        any[at] = true;
        ++k;
      });
      const View out = memory_->out(shape_of(dims), dtype_of<T>());
      backend_->reduce({.kind = kind,
                        .in = memory_->in(values, shape_of(test.dims)),
                        .out = out,
                        .scale = scale});
      EXPECT_EQ(memory_->get<T>(out), expected) << int(kind);
    };
    expect(ReduceKind::kSum, 1, [](T a, T b) { return T(a + b); });
    expect(ReduceKind::kMax, 1, [](T a, T b) { return std::max(a, b); });
    expect(ReduceKind::kMin, 1, [](T a, T b) { return std::min(a, b); });
    finish_case();
  };
  for (const KernelCase& test : kernel_cases()) {
    if (reference::elements(test.dims) > 3000) continue;
    SCOPED_TRACE(to_string(shape_of(test.dims)));
    check(double(1LL << 40) + 1, test);
    check(std::int64_t{1} << 40 | 1, test);
    check(std::int32_t{(1 << 16) + 1}, test);
  }
}

TEST_P(ReduceKernel, IntegersWrapAndFloat64IsScaled) {
  const View sum = memory_->out({1}, DType::kInt32), mean = memory_->out({1}, DType::kFloat64);
  backend_->reduce({.kind = ReduceKind::kSum,
                    .in = memory_->in<std::int32_t>({INT32_MAX, 1, 1}, {3}),
                    .out = sum});
  EXPECT_EQ(memory_->get<std::int32_t>(sum), std::vector<std::int32_t>{INT32_MIN + 1});
  backend_->reduce({.kind = ReduceKind::kSum,
                    .in = memory_->in<double>({1, 1e-12, 0}, {3}),
                    .out = mean,
                    .scale = 1.0 / 3});
  EXPECT_NEAR(memory_->get<double>(mean)[0], (1 + 1e-12) / 3, 1e-16);
}

TEST_P(ReduceKernel, BoolsAreAnyAndAll) {
  for (const std::int64_t n : {1, 31, 32, 33, 256, 257})
    for (const bool mostly : {false, true}) {
      std::vector<bool> values(std::size_t(2 * n), mostly);
      values[std::size_t(n)] = !mostly;  // the first of the second row
      const View in = memory_->in(values, {2, n});
      const View any = memory_->out({2, 1}, DType::kBool), all = memory_->out({2, 1}, DType::kBool);
      backend_->reduce({.kind = ReduceKind::kMax, .in = in, .out = any});
      backend_->reduce({.kind = ReduceKind::kMin, .in = in, .out = all});
      EXPECT_EQ(memory_->get<bool>(any), (std::vector<bool>{mostly, n > 1 ? true : !mostly}));
      EXPECT_EQ(memory_->get<bool>(all), (std::vector<bool>{mostly, n > 1 ? false : !mostly}));
      finish_case();
    }
}

TEST_P(ReduceKernel, InputsNeedNoAlignment) {
  Random random(7);
  for (const std::int64_t n : {4, 32, 256, 4096})
    for (const bool rows : {false, true}) {
      SCOPED_TRACE(::testing::Message() << n << (rows ? " rows" : " columns"));
      const Reals in = random.array(rows ? Dims{3, n} : Dims{n, 8}, -9, -1);
      const Reals expected = reference::reduce_max(in, {!rows, rows});
      memory_->shift_by(1);
      const View in_view = memory_->in(in), out = memory_->out(shape_of(expected.dims));
      backend_->reduce({.kind = ReduceKind::kMax, .in = in_view, .out = out});
      EXPECT_TRUE(close(memory_->get(out), expected.values, 0));
      finish_case();
    }
}

TEST_P(ReduceKernel, OfNothingIsWhatChangesNothing) {
  const View in = memory_->in(std::vector<float>(), {3, 0});
  const View sum = memory_->out({3, 1}), max = memory_->out({3, 1});
  backend_->reduce({.kind = ReduceKind::kSum, .in = in, .out = sum});
  backend_->reduce({.kind = ReduceKind::kMax, .in = in, .out = max});
  EXPECT_EQ(memory_->get(sum), std::vector<float>(3, 0));
  EXPECT_EQ(memory_->get(max), std::vector<float>(3, -INFINITY));
  const View min = memory_->out({3, 1}), least = memory_->out({1}, DType::kInt64);
  const View none = memory_->in(std::vector<std::int64_t>(), {0});
  backend_->reduce({.kind = ReduceKind::kMin, .in = in, .out = min});
  backend_->reduce({.kind = ReduceKind::kMax, .in = none, .out = least});
  EXPECT_EQ(memory_->get(min), std::vector<float>(3, INFINITY));
  EXPECT_EQ(memory_->get<std::int64_t>(least), std::vector<std::int64_t>{INT64_MIN});
  const View no_flags = memory_->in(std::vector<bool>(), {0});
  const View any = memory_->out({1}, DType::kBool), all = memory_->out({1}, DType::kBool);
  backend_->reduce({.kind = ReduceKind::kMax, .in = no_flags, .out = any});
  backend_->reduce({.kind = ReduceKind::kMin, .in = no_flags, .out = all});
  EXPECT_EQ(memory_->get<bool>(any), std::vector<bool>{false});
  EXPECT_EQ(memory_->get<bool>(all), std::vector<bool>{true});
}

TEST_P(ReduceKernel, SumKeepsANan) {
  for (const std::size_t where : {0U, 100U, 299U}) {
    std::vector<float> values(300, 1.0F);
    values[where] = std::nanf("");
    const View out = memory_->out({1});
    backend_->reduce({.kind = ReduceKind::kSum, .in = memory_->in(values, {300}), .out = out});
    EXPECT_TRUE(std::isnan(memory_->get(out)[0]));
  }
}

TEST_P(ReduceKernel, AnExtremeKeepsANanInItsOwnPlace) {
  for (const ReduceKind kind : {ReduceKind::kMax, ReduceKind::kMin})
    for (const std::int64_t n : {1, 2, 15, 16, 17, 31, 32, 33, 257})
      for (const bool rows : {false, true})
        for (std::int64_t where = 0; where < n; ++where) {
          SCOPED_TRACE(::testing::Message()
                       << n << (rows ? " rows" : " columns") << " at " << where);
          std::vector<float> values(std::size_t(3 * n), -1.0F);
          values[std::size_t(rows ? n + where : 3 * where + 1)] = std::nanf("");
          const View out = memory_->out(rows ? Shape{3, 1} : Shape{1, 3});
          const Shape shape = rows ? Shape{3, n} : Shape{n, 3};
          backend_->reduce({.kind = kind, .in = memory_->in(values, shape), .out = out});
          const std::vector<float> best = memory_->get(out);
          EXPECT_EQ(best[0], -1);
          EXPECT_TRUE(std::isnan(best[1]));
          EXPECT_EQ(best[2], -1);
          finish_case();
        }
}

TEST_P(ReduceKernel, AnExtremeOverScatteredAxesKeepsANan) {
  for (const ReduceKind kind : {ReduceKind::kMax, ReduceKind::kMin}) {
    std::vector<float> values(2 * 3 * 5, 1.0F);
    values[1 * 15 + 2 * 5 + 4] = std::nanf("");
    const View out = memory_->out({1, 3, 1});
    backend_->reduce({.kind = kind, .in = memory_->in(values, {2, 3, 5}), .out = out});
    const std::vector<float> best = memory_->get(out);
    EXPECT_EQ(best[0], 1);
    EXPECT_EQ(best[1], 1);
    EXPECT_TRUE(std::isnan(best[2]));
    finish_case();
  }
}

UNROLL_FOR_EACH_BACKEND(ReduceKernel);

TEST(ReduceThreads, GiveTheSameBits) {
  Random random(19);
  for (const auto& [dims, reduced] : kernel_cases()) {
    SCOPED_TRACE(to_string(shape_of(dims)));
    const Reals in = random.array(dims, -1, 1);
    const Shape out_shape = shape_of(reference::reduce_sum(in, reduced).dims);
    const auto run = [&](int threads, ReduceKind kind, auto type) {
      using T = decltype(type);
      const auto backend = cpu(threads);
      GuardedMemory memory(*backend);
      const std::vector<T> values(in.values.begin(), in.values.end());
      const View out = memory.out(out_shape, dtype_of<T>());
      backend->reduce({.kind = kind, .in = memory.in(values, shape_of(dims)), .out = out});
      return memory.get<T>(out);
    };
    for (const ReduceKind kind : {ReduceKind::kSum, ReduceKind::kMax, ReduceKind::kMin})
      for (const int threads : {2, 7}) {
        EXPECT_TRUE(identical(run(threads, kind, float()), run(1, kind, float())));
        EXPECT_TRUE(identical(run(threads, kind, double()), run(1, kind, double())));
      }
  }
}

std::vector<GraphCase> reduce_cases() {
  std::vector<GraphCase> all;
  const Dims dims{3, 4, 11};
  for (const std::vector<int>& axes : std::vector<std::vector<int>>{
           {kAllAxes}, {0}, {1}, {2}, {-1}, {-3}, {0, 1}, {2, 0}, {1, -1}, {0, 1, 2}})
    for (const bool keep : {false, true}) {
      std::vector<bool> reduced(3, axes[0] == kAllAxes);
      std::string suffix = " axes";
      for (const int axis : axes) {
        if (axis != kAllAxes) reduced[std::size_t(axis < 0 ? axis + 3 : axis)] = true;
        suffix += " " + std::to_string(axis);
      }
      if (keep) suffix += " kept";
      Dims shape;
      double count = 1;
      for (std::size_t k = 0; k < 3; ++k) {
        if (!reduced[k]) shape.push_back(dims[k]);
        if (reduced[k] && keep) shape.push_back(1);
        if (reduced[k]) count *= double(dims[k]);
      }
      const auto reshaped = [shape](const ComplexArray& a) {
        return ComplexArray(shape, a.values);
      };
      // `count` additions of partial sums that wander up to about 2 sqrt(count); a mean divides
      // them.
      all.push_back(
          {.name = "sum" + suffix,
           .operands = {{dims}},
           .build = [=](const auto& x) { return reduce_sum(x[0], axes, {.keep_dims = keep}); },
           .reference =
               [=](const auto& x) { return reshaped(reference::reduce_sum(x[0], reduced)); },
           .ulps = count,
           .scale = 2 * std::sqrt(count)});
      all.push_back(
          {.name = "mean" + suffix,
           .operands = {{dims}},
           .build = [=](const auto& x) { return reduce_mean(x[0], axes, {.keep_dims = keep}); },
           .reference =
               [=](const auto& x) {
                 const auto mean = [=](Complex y) { return y / count; };
                 return reshaped(reference::map(reference::reduce_sum(x[0], reduced), mean));
               },
           .ulps = 2 * std::sqrt(count) + 1});
      all.push_back(
          {.name = "max" + suffix,
           .operands = {{dims}},
           .build = [=](const auto& x) { return reduce_max(x[0], axes, {.keep_dims = keep}); },
           .reference =
               [=](const auto& x) { return reshaped(reference::reduce_max(x[0], reduced)); },
           .ulps = 0});
      all.push_back(
          {.name = "min" + suffix,
           .operands = {{dims}},
           .build = [=](const auto& x) { return reduce_min(x[0], axes, {.keep_dims = keep}); },
           .reference =
               [=](const auto& x) {
                 const auto negative = [](Complex y) { return -y; };
                 return reshaped(reference::map(
                     reference::reduce_max(reference::map(x[0], negative), reduced), negative));
               },
           .ulps = 0});
    }
  return all;
}

class ReduceOps : public OnEachBackend {};

TEST_P(ReduceOps, ExtremesOfNoRowsAreInfinite) {
  Graph g;
  const Tensor none = g.constant(0, {0, 3});
  Session session(g, backend_);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(session.evaluate(reduce_max(none, 0)), std::vector<float>(3, -infinity));
  EXPECT_EQ(session.evaluate(reduce_min(none, 0)), std::vector<float>(3, infinity));
  EXPECT_EQ(session.evaluate(reduce_sum(none, 0)), std::vector<float>(3));
}

TEST_P(ReduceOps, ValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : reduce_cases()) check_graph_case(test, backend_);
}

TEST_P(ReduceOps, ElementsThatShareAnExtremeShareItsGradient) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 4});
  const Tensor w = g.placeholder("w", {2});
  const auto slope_of = [&](Tensor y, std::vector<float> at) {
    const Tensor slope = dense_gradients(reduce_sum(w * y), {x})[0];
    Session session(g, backend_);
    return session.evaluate(slope, {{x, at}, {w, std::vector<float>{5, 8}}});
  };
  const std::vector<float> expected{2.5F, 0, 2.5F, 0, 2, 2, 2, 2};
  EXPECT_EQ(slope_of(reduce_max(x, 1), {3, 1, 3, 0, -2, -2, -2, -2}), expected);
  EXPECT_EQ(slope_of(reduce_min(x, 1), {-3, 1, -3, 0, -2, -2, -2, -2}), expected);
}

TEST_P(ReduceOps, PlacesFlagsAndOtherTypes) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3});
  const Tensor ids = g.placeholder("ids", {kOpen}, DType::kInt64);
  const Tensor best = argmax(x, 1), worst = argmin(x),
               kept = argmax(x, {0, 1}, {.keep_dims = true});
  const Tensor any = reduce_any(greater(x, g.constant(6))),
               all = reduce_all(greater(x, g.constant(0)), 1);
  const Tensor sum = reduce_sum(ids), most = reduce_max(ids, 0), least = reduce_min(ids, 0);
  const std::vector<float> xs{1, 7, 7, -4, 5, -4};
  const std::vector<std::int64_t> id_values{1LL << 60, 3, -(1LL << 61)};
  Session session(g, backend_);
  session.run({best, worst, kept, any, all, sum, most, least}, {{x, xs}, {ids, id_values}});
  using Places = std::vector<std::int64_t>;
  EXPECT_EQ(session.read<std::int64_t>(best), (Places{1, 1}));
  EXPECT_EQ(session.read<std::int64_t>(worst), Places{3});
  EXPECT_EQ(session.read<std::int64_t>(kept), Places{1});
  EXPECT_EQ(session.shape(kept), (Shape{1, 1}));
  EXPECT_EQ(session.read<bool>(any), std::vector<bool>{true});
  EXPECT_EQ(session.read<bool>(all), (std::vector<bool>{true, false}));
  EXPECT_EQ(session.read<std::int64_t>(sum), Places{3 - (1LL << 60)});
  EXPECT_EQ(session.read<std::int64_t>(most), Places{1LL << 60});
  EXPECT_EQ(session.read<std::int64_t>(least), Places{-(1LL << 61)});
}

// Nothing has no place in it: known only with the feeds.
TEST_P(ReduceOps, APlaceOfNothingIsAnError) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen});
  const Tensor best = argmax(x);
  Session session(g, backend_);
  EXPECT_THROW(session.run(best, {{x, std::vector<float>()}}), std::invalid_argument);
  EXPECT_THROW(argmax(g.placeholder("none", {3, 0}), 1), std::invalid_argument);
  EXPECT_EQ(argmax(g.placeholder("no rows", {0, 3}), 1).shape(), Shape{0});
}

// The gradient goes through float64 and back.
TEST_P(ReduceOps, Float64HasGradients) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 2});
  const Tensor wide = cast(x, DType::kFloat64);
  const Tensor cost = cast(
      reduce_mean(wide * wide, {0, 1}) + reduce_max(wide) + reduce_sum(wide / 2), DType::kFloat32);
  const Tensor slope = dense_gradients(cost, {x})[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope, {{x, std::vector<float>{1, 2, -3, 0}}}),
            (std::vector<float>{1, 2.5F, -1, 0.5F}));
}

UNROLL_FOR_EACH_BACKEND(ReduceOps);

TEST(ReduceShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {3, 4});
  EXPECT_THROW(reduce_sum(x, 2), std::invalid_argument);
  EXPECT_THROW(reduce_mean(x, -3), std::invalid_argument);
  EXPECT_THROW(reduce_max(x, 7), std::invalid_argument);
  EXPECT_THROW(reduce_sum(x, {0, 0}), std::invalid_argument);
  EXPECT_THROW(reduce_sum(x, {0, -2}), std::invalid_argument);
  EXPECT_THROW(reduce_sum(x, std::vector<int>()), std::invalid_argument);
  EXPECT_THROW(reduce_sum(x, {0, kAllAxes}), std::invalid_argument);
  const Tensor ids = g.placeholder("ids", {3}, DType::kInt32);
  const Tensor flags = g.placeholder("flags", {3}, DType::kBool);
  EXPECT_THROW(reduce_mean(ids), std::invalid_argument);
  EXPECT_THROW(reduce_any(ids), std::invalid_argument);
  EXPECT_THROW(reduce_all(x), std::invalid_argument);
  for (Tensor (*const op)(Tensor, const Axes&, const ReduceOptions&) :
       {&reduce_sum, &reduce_mean, &reduce_max, &reduce_min, &argmax, &argmin})
    EXPECT_THROW(op(flags, 0, {}), std::invalid_argument);
  EXPECT_EQ(reduce_sum(x, {1, 0}).shape(), Shape{});
  EXPECT_EQ(reduce_sum(x, {-1}, {.keep_dims = true}).shape(), (Shape{3, 1}));
  EXPECT_EQ(argmax(x, 0).dtype(), DType::kInt64);
  EXPECT_EQ(reduce_sum(x).shape(), Shape{});
  EXPECT_EQ(reduce_sum(x, kAllAxes, {.keep_dims = true}).shape(), (Shape{1, 1}));
  EXPECT_EQ(reduce_sum(x, -1).shape(), Shape{3});
  EXPECT_EQ(reduce_sum(g.placeholder("open", {kOpen, 4}), 1).shape(), Shape{kOpen});
}

}  // namespace
}  // namespace unroll::test
