/// Sums, means and maxima over one axis, several (the kernel), or all.
#include <gtest/gtest.h>

#include <cmath>
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
          {.kind = ReduceKind::kSum, .in = memory_->in(in), .out = out, .scale = scale});
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

TEST_P(ReduceKernel, MaxKeepsANanInItsOwnPlace) {
  for (const std::int64_t n : {1, 2, 15, 16, 17, 31, 32, 33, 257})
    for (const bool rows : {false, true})
      for (std::int64_t where = 0; where < n; ++where) {
        SCOPED_TRACE(::testing::Message() << n << (rows ? " rows" : " columns") << " at " << where);
        std::vector<float> values(std::size_t(3 * n), -1.0F);
        values[std::size_t(rows ? n + where : 3 * where + 1)] = std::nanf("");
        const View out = memory_->out(rows ? Shape{3, 1} : Shape{1, 3});
        const Shape shape = rows ? Shape{3, n} : Shape{n, 3};
        backend_->reduce({.kind = ReduceKind::kMax, .in = memory_->in(values, shape), .out = out});
        const std::vector<float> max = memory_->get(out);
        EXPECT_EQ(max[0], -1);
        EXPECT_TRUE(std::isnan(max[1]));
        EXPECT_EQ(max[2], -1);
        finish_case();
      }
}

UNROLL_FOR_EACH_BACKEND(ReduceKernel);

std::vector<GraphCase> reduce_cases() {
  std::vector<GraphCase> all;
  const Dims dims{3, 4, 11};
  for (const int axis : {kAllAxes, 0, 1, 2, -1, -3})
    for (const bool keep : {false, true}) {
      std::vector<bool> reduced(3, axis == kAllAxes);
      if (axis != kAllAxes) reduced[std::size_t(axis < 0 ? axis + 3 : axis)] = true;
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
      const std::string suffix = " axis " + std::to_string(axis) + (keep ? " kept" : "");
      // `count` additions of partial sums that wander up to about 2 sqrt(count); a mean divides
      // them.
      all.push_back(
          {.name = "sum" + suffix,
           .operands = {{dims}},
           .build = [=](const auto& x) { return reduce_sum(x[0], axis, {.keep_dims = keep}); },
           .reference =
               [=](const auto& x) { return reshaped(reference::reduce_sum(x[0], reduced)); },
           .ulps = count,
           .scale = 2 * std::sqrt(count)});
      all.push_back(
          {.name = "mean" + suffix,
           .operands = {{dims}},
           .build = [=](const auto& x) { return reduce_mean(x[0], axis, {.keep_dims = keep}); },
           .reference =
               [=](const auto& x) {
                 const auto mean = [=](Complex y) { return y / count; };
                 return reshaped(reference::map(reference::reduce_sum(x[0], reduced), mean));
               },
           .ulps = 2 * std::sqrt(count) + 1});
      all.push_back(
          {.name = "max" + suffix,
           .operands = {{dims}},
           .build = [=](const auto& x) { return reduce_max(x[0], axis, {.keep_dims = keep}); },
           .reference =
               [=](const auto& x) { return reshaped(reference::reduce_max(x[0], reduced)); },
           .ulps = 0});
    }
  return all;
}

class ReduceOps : public OnEachBackend {};

TEST_P(ReduceOps, ValuesAndGradientsMatchTheReference) {
  for (const GraphCase& test : reduce_cases()) check_graph_case(test, backend_);
}

TEST_P(ReduceOps, ElementsThatShareAMaximumShareItsGradient) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 4});
  const Tensor y = reduce_max(x, 1);
  const Tensor w = g.placeholder("w", {2});
  const Tensor slope = dense_gradients(reduce_sum(w * y), {x})[0];
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(slope, {{x, std::vector<float>{3, 1, 3, 0, -2, -2, -2, -2}},
                                     {w, std::vector<float>{5, 8}}}),
            (std::vector<float>{2.5F, 0, 2.5F, 0, 2, 2, 2, 2}));
}

UNROLL_FOR_EACH_BACKEND(ReduceOps);

TEST(ReduceShapes, AreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {3, 4});
  EXPECT_THROW(reduce_sum(x, 2), std::invalid_argument);
  EXPECT_THROW(reduce_mean(x, -3), std::invalid_argument);
  EXPECT_THROW(reduce_max(x, 7), std::invalid_argument);
  EXPECT_THROW(reduce_sum(g.placeholder("ids", {3}, DType::kInt32)), std::invalid_argument);
  EXPECT_EQ(reduce_sum(x).shape(), Shape{});
  EXPECT_EQ(reduce_sum(x, kAllAxes, {.keep_dims = true}).shape(), (Shape{1, 1}));
  EXPECT_EQ(reduce_sum(x, -1).shape(), Shape{3});
  EXPECT_EQ(reduce_sum(g.placeholder("open", {kOpen, 4}), 1).shape(), Shape{kOpen});
}

}  // namespace
}  // namespace unroll::test
