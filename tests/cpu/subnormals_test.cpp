/// The CPU kernels treat subnormal numbers as zero: none reads one as anything else, and none
/// computes one, on any instruction set and in any thread. Kernels that only move numbers keep
/// them.
#include "host/cpu/subnormals.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "host/cpu/isa.h"
#include "host/cpu/thread_pool.h"
#include "tests/support/backends.h"
#include "tests/support/random.h"
#include "tests/support/recurrent_case.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::host {
namespace {

using test::GuardedMemory;
using test::Random;
using Floats = std::vector<float>;

constexpr float kSubnormal = 1e-40F;

bool is_supported() {
  const FlushSubnormals flush;
  return subnormal_mode() != 0;
}

/// Half of a subnormal number, computed at run time.
float half_of_subnormal() {
  volatile float x = kSubnormal;
  return x * 0.5F;
}

float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x;
}

TEST(FlushSubnormals, EndsWithItsScopeAndWithAnException) {
  if (!is_supported()) GTEST_SKIP() << "this processor has no such mode";
  EXPECT_GT(half_of_subnormal(), 0);
  {
    const FlushSubnormals outer;
    EXPECT_EQ(half_of_subnormal(), 0);
    { const FlushSubnormals inner; }
    EXPECT_EQ(half_of_subnormal(), 0);
  }
  EXPECT_GT(half_of_subnormal(), 0);
  try {
    const FlushSubnormals flush;
    throw std::runtime_error("");
  } catch (const std::runtime_error&) {
    EXPECT_GT(half_of_subnormal(), 0);
  }
}

TEST(FlushSubnormals, HoldsInEveryThreadOfAPoolThatItsThreadDrives) {
  if (!is_supported()) GTEST_SKIP() << "this processor has no such mode";
  ThreadPool pool(3);
  const auto halves = [&] {
    Floats found(3);
    pool.run([&](int thread) { found[std::size_t(thread)] = half_of_subnormal(); });
    return found;
  };
  const Floats kept(3, half_of_subnormal());
  EXPECT_EQ(halves(), kept);
  {
    const FlushSubnormals flush;
    EXPECT_EQ(halves(), Floats(3, 0.0F));
  }
  EXPECT_EQ(halves(), kept);
}

class Subnormals : public ::testing::TestWithParam<std::tuple<Isa, int>> {
 protected:
  using Compute = std::function<Floats(const std::shared_ptr<Backend>&)>;

  void SetUp() override {
    const auto [isa, threads] = GetParam();
    if (!is_supported()) GTEST_SKIP() << "this processor has no mode that flushes them";
    if (!isa_supported(isa)) GTEST_SKIP() << "not supported by this CPU";
    select_isa(isa);
    backend_ = cpu(threads);
  }
  void TearDown() override {
    backend_.reset();
    select_isa(before_);
  }

  /// Returns the results. Checks that they equal those of one thread and that none is subnormal.
  Floats check(const std::string& what, const Compute& compute) const {
    const Floats got = compute(backend_), alone = compute(cpu(1));
    EXPECT_GT(half_of_subnormal(), 0) << what << ": the caller's own mode has changed";
    std::size_t subnormal = 0, different = 0;
    for (std::size_t k = 0; k < got.size(); ++k) {
      subnormal += std::fpclassify(got[k]) == FP_SUBNORMAL ? 1 : 0;
      different += std::bit_cast<std::uint32_t>(got[k]) != std::bit_cast<std::uint32_t>(alone[k]);
    }
    EXPECT_EQ(subnormal, 0U) << what << ": of " << got.size() << " results";
    EXPECT_EQ(different, 0U) << what << ": from those of one thread";
    return got;
  }

  std::shared_ptr<Backend> backend_;

 private:
  const Isa before_ = selected_isa();
};

INSTANTIATE_TEST_SUITE_P(On, Subnormals,
                         ::testing::Combine(::testing::Values(Isa::kBaseline, Isa::kAvx2,
                                                              Isa::kAvx512),
                                            ::testing::Values(1, 2, 7)),
                         [](const auto& info) {
                           return std::string(isa_name(std::get<0>(info.param))) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

/// Numbers around the limit, far below it, and normal ones; both signs; more than one thread's
/// share.
Floats edge_values(std::uint64_t seed) {
  constexpr float kMagnitudes[] = {
      0,      kSubnormal, 1e-39F, FLT_TRUE_MIN, FLT_MIN, 1.5F * FLT_MIN, 1e-30F,
      1e-20F, 1e-19F,     1,      1e10F};
  Random random(seed);
  Floats values(3 * 8192 + 5);
  for (float& x : values)
    x = kMagnitudes[random.integer(0, std::size(kMagnitudes))] * (random.integer(0, 2) ? 1.0F : -1);
  return values;
}

TEST_P(Subnormals, ElementwiseReadsAndWritesThemAsZero) {
  constexpr float kAlpha = 1e-20F, kBeta = kSubnormal;
  const Floats a = edge_values(1), b = edge_values(2);
  const Shape shape{std::int64_t(a.size())};
  for (int kind = 0; kind < int(ElementwiseKind::kEqual); ++kind) {  // all that give float32
    const auto which = ElementwiseKind(kind);
    if (which == ElementwiseKind::kCopy) continue;  // moves bits
    const Floats got = check("kind " + std::to_string(kind), [&](const auto& backend) {
      GuardedMemory memory(*backend);
      const View out = memory.out(shape);
      backend->elementwise(
          {which, memory.in(a, shape), memory.in(b, shape), out, double(kAlpha), double(kBeta)});
      return memory.get(out);
    });
    for (std::size_t k = 0; k < a.size(); ++k) {
      const float x = flushed(a[k]), y = flushed(b[k]);
      float expected = got[k];
      if (which == ElementwiseKind::kAffine) expected = flushed(x * kAlpha) + flushed(kBeta);
      if (which == ElementwiseKind::kAdd) expected = x + y;
      if (which == ElementwiseKind::kSubtract) expected = x - y;
      if (which == ElementwiseKind::kMultiply) expected = x * y;
      if (which == ElementwiseKind::kRelu) expected = x > 0 ? x : 0;
      if (which == ElementwiseKind::kFinite) expected = x;
      if (which == ElementwiseKind::kAbs) expected = std::abs(x);
      if (which == ElementwiseKind::kMaximum) expected = x < y ? y : x;
      if (which == ElementwiseKind::kMinimum) expected = y < x ? y : x;
      if (which == ElementwiseKind::kLeakyRelu) expected = x < 0 ? x * kAlpha : x;
      if (which == ElementwiseKind::kSqrt) expected = std::sqrt(x);
      if (which == ElementwiseKind::kAbsGradient)
        expected = x == 0 ? 0 : std::copysign(1.0F, x) * y;
      if (which == ElementwiseKind::kReluGradient) expected = x > 0 ? y : 0;
      if (which == ElementwiseKind::kLog && x == 0)
        expected = -std::numeric_limits<float>::infinity();
      ASSERT_TRUE(got[k] == flushed(expected) || (std::isnan(got[k]) && std::isnan(expected)))
          << "kind " << kind << " of " << a[k] << " and " << b[k] << ": " << got[k];
    }
  }
}

TEST_P(Subnormals, ReductionsGiveZero) {
  const Shape shape{40, 33, 29};
  const Floats tiny(40 * 33 * 29, 1e-44F), small(tiny.size(), 1e-20F);
  for (const Shape& out : {Shape{1, 33, 29}, Shape{40, 1, 29}, Shape{40, 33, 1}, Shape{1, 33, 1},
                           Shape{1, 1, 1}, shape})
    for (const bool scaled : {false, true})
      for (const ReduceKind kind : {ReduceKind::kSum, ReduceKind::kMax, ReduceKind::kMin}) {
        if (scaled && kind != ReduceKind::kSum) continue;
        if (out == shape && kind != ReduceKind::kSum) continue;  // of one element: it is only moved
        const Floats got = check(to_string(out), [&](const auto& backend) {
          GuardedMemory memory(*backend);
          const View to = memory.out(out);
          backend->reduce({kind, memory.in(scaled ? small : tiny, shape), to,
                           scaled ? 1e-24 : 1.0});  // of 40 x 29 elements at most: 1e-41
          return memory.get(to);
        });
        EXPECT_EQ(got, Floats(got.size(), 0.0F)) << to_string(out) << " " << int(kind);
      }
}

// What compares or converts reads them as zero: 1e-40 is not above 0, and false.
TEST_P(Subnormals, ComparisonsPlacesAndConversionsReadZero) {
  const Floats values(40, kSubnormal), zeros(40, 0.0F);
  GuardedMemory memory(*backend_);
  const View in = memory.in(values, {40}), zero = memory.in(zeros, {40});
  const View above = memory.out({40}, DType::kBool), is = memory.out({40}, DType::kBool);
  const View wide = memory.out({40}, DType::kFloat64), place = memory.out({1}, DType::kInt64);
  backend_->elementwise({ElementwiseKind::kGreater, in, zero, above});
  backend_->cast({in, is});
  backend_->cast({in, wide});
  Floats rising(40, 0.0F);
  rising.back() = kSubnormal;
  backend_->reduce({ReduceKind::kArgMax, memory.in(rising, {40}), place});
  EXPECT_EQ(memory.get<bool>(above), std::vector<bool>(40, false));
  EXPECT_EQ(memory.get<bool>(is), std::vector<bool>(40, false));
  EXPECT_EQ(memory.get<double>(wide), std::vector<double>(40, 0.0));
  EXPECT_EQ(memory.get<std::int64_t>(place), std::vector<std::int64_t>{0});
}

TEST_P(Subnormals, SoftmaxAndItsGradientsGiveZero) {
  constexpr std::int64_t kRows = 70, kColumns = 301;
  const Shape shape{kRows, kColumns};
  const Floats x = test::floats(Random(3).array({kRows, kColumns}, -110, 0));
  const Floats dy = test::floats(Random(4).array({kRows, kColumns}, -1e-30, 1e-30));
  for (const bool log : {false, true})
    check(log ? "log" : "softmax", [&](const auto& backend) {
      GuardedMemory memory(*backend);
      const View y = memory.out(shape), dx = memory.out(shape);
      backend->softmax({memory.in(x, shape), y, log});
      backend->softmax_gradient({y, memory.in(dy, shape), dx, log});
      Floats all = memory.get(y);
      const Floats more = memory.get(dx);
      all.insert(all.end(), more.begin(), more.end());
      return all;
    });
}

TEST_P(Subnormals, ProductsOfTheSmallAndSumsOfThemAreZero) {
  for (const std::int64_t n : {5, 150})  // on the caller only, and on several threads
    for (const auto& [a, b] : {std::pair{kSubnormal, 1e10F}, {1e10F, kSubnormal}, {1e-21F, 1e-21F}})
      for (const bool transpose : {false, true}) {
        const Floats left(std::size_t(n * n), a), right(left.size(), b);
        const Floats got = check("matmul", [&](const auto& backend) {
          GuardedMemory memory(*backend);
          const View c = memory.out({n, n});
          backend->matmul(
              {memory.in(left, {n, n}), memory.in(right, {n, n}), transpose, transpose, c});
          return memory.get(c);
        });
        EXPECT_EQ(got, Floats(got.size(), 0.0F)) << n << ": " << a << " * " << b;
      }
}

TEST_P(Subnormals, RowsThatAreAddedCountAsZero) {
  constexpr std::int64_t kRows = 6, kColumns = 200;
  const std::vector<std::int32_t> ids{3, 1, 3, 0, 1, 3};
  const Floats rows(kRows * kColumns, kSubnormal);
  const Floats got = check("rows", [&](const auto& backend) {
    GuardedMemory memory(*backend);
    const View table = memory.inout(Floats(4 * kColumns, 0.0F), {4, kColumns});
    const View unique = memory.out({kRows}, DType::kInt32), sums = memory.out({kRows, kColumns});
    const View in = memory.in(rows, {kRows, kColumns}), of = memory.in(ids, {kRows});
    backend->scatter_add_rows({of, in, table});
    backend->coalesce_rows(
        {of, in, 4, unique, sums, memory.raw(backend->coalesce_scratch_bytes(kRows))});
    Floats all = memory.get(table);
    const Floats more = memory.get(sums);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  });
  EXPECT_EQ(got, Floats(got.size(), 0.0F));
}

TEST_P(Subnormals, DropoutGivesZero) {
  const Floats in(20000, kSubnormal);
  const Shape shape{20000};
  for (const float rate : {0.0F, 0.5F}) {
    const Floats got = check("dropout", [&](const auto& backend) {
      GuardedMemory memory(*backend);
      const View out = memory.out(shape), step = memory.in<std::int64_t>({1}, {1});
      backend->dropout({memory.in(in, shape), out, rate, 7, step});
      return memory.get(out);
    });
    EXPECT_EQ(got, Floats(got.size(), 0.0F));
  }
}

TEST_P(Subnormals, WhatMovesNumbersMovesTheseToo) {
  GuardedMemory memory(*backend_);
  const Floats values{kSubnormal, 1, -kSubnormal, FLT_TRUE_MIN};
  const View table = memory.in(values, {2, 2}), rows = memory.out({2, 2});
  const View region = memory.out({2, 2}), copy = memory.out({2, 2}), chosen = memory.out({2, 2});
  backend_->gather_rows({table, memory.in<std::int32_t>({0, 1}, {2}), rows});
  backend_->copy_region({table, region, Shape{2, 2}, Shape{2, 1}, Shape{2, 1}});
  backend_->elementwise({ElementwiseKind::kCopy, table, {}, copy});
  backend_->where({memory.in(std::vector<bool>{true}, {1}), table, copy, chosen});
  for (const View& view : {rows, region, copy, chosen}) EXPECT_EQ(memory.get(view), values);
}

/// Values of all fetches, one after the other.
Floats run(Session& session, const std::vector<Tensor>& fetches, const std::vector<Feed>& feeds) {
  session.run(fetches, feeds);
  Floats all;
  for (const Tensor& fetch : fetches) {
    const Floats values = session.read(fetch);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST_P(Subnormals, SoftmaxCrossEntropyGivesZero) {
  constexpr std::int64_t kRows = 80, kHidden = 20, kWords = 300;
  check("loss", [&](const auto& backend) {
    Graph g;
    const Tensor h = g.placeholder("h", {kRows, kHidden}), weights = g.placeholder("w", {kRows});
    const Tensor targets = g.placeholder("targets", {kRows}, DType::kInt32);
    const Tensor decoder = g.variable("decoder", {kWords, kHidden}, uniform(-20, 20));
    const Tensor bias = g.variable("bias", {kWords}, uniform(-20, 20));
    const auto result =
        softmax_cross_entropy(h, {decoder, bias}, targets, {.row_weights = weights});
    std::vector<Tensor> fetches{result.loss, result.log_prob};
    const std::vector<Tensor> xs{h, decoder, bias};
    for (const Tensor& gradient : dense_gradients(result.loss, xs)) fetches.push_back(gradient);
    Session session(g, backend, 1);
    const Floats rows = test::floats(Random(5).array({kRows, kHidden}, -1, 1));
    const Floats row_weights = test::floats(Random(6).array({kRows}, 0, 1e-30));
    const auto ids = Random(7).integers(kRows, 0, kWords);
    return run(session, fetches, {{h, rows}, {weights, row_weights}, {targets, ids}});
  });
}

/// Everything that a stack of two layers computes, forward and backward.
Floats run_stack(const std::shared_ptr<Backend>& backend, const test::CellForm& form,
                 bool zero_input) {
  constexpr std::int64_t kSteps = 40, kBatch = 3, kInput = 10;
  Graph g;
  const RecurrentSpec spec = test::with_form({.hidden = {40, 24}, .dropout = 0.3F}, form);
  RecurrentInputs in;
  in.x = g.placeholder("x", {kSteps, kBatch, kInput});
  in.weights = recurrent_weights(
      g, spec, kInput, {.weight_ih = uniform(-0.02, 0.02), .weight_hh = uniform(-0.02, 0.02)});
  std::vector<Tensor> xs{in.x};
  for (int layer = 0; layer < spec.layers(); ++layer) {
    in.h0.push_back(g.placeholder("h0", spec.h_shape(layer, kBatch)));
    xs.push_back(in.h0.back());
    if (!spec.has_c()) continue;
    in.c0.push_back(g.placeholder("c0", spec.c_shape(layer, kBatch)));
    xs.push_back(in.c0.back());
  }
  const std::size_t fed = xs.size();
  for (const Tensor& weight : g.variables()) xs.push_back(weight);
  const RecurrentResult result = recurrent(spec, in);
  std::vector<Tensor> fetches{result.y};
  fetches.insert(fetches.end(), result.h_n.begin(), result.h_n.end());
  fetches.insert(fetches.end(), result.c_n.begin(), result.c_n.end());
  const Tensor cost =
      reduce_sum(slice(result.y, 0, -1));  // its gradient vanishes in the backward pass
  for (const Tensor& gradient : dense_gradients(cost, xs)) fetches.push_back(gradient);

  Session session(g, backend, 1);
  std::vector<Floats> values;
  for (std::size_t k = 0; k < fed; ++k) {
    const auto count = std::size_t(xs[k].shape().elements());
    if (zero_input)
      values.emplace_back(count, k == 0 ? 0.0F : 1e-39F);
    else
      values.push_back(test::floats(Random(k).array({std::int64_t(count)}, -1, 1)));
  }
  std::vector<Feed> feeds;
  for (std::size_t k = 0; k < fed; ++k) feeds.emplace_back(xs[k], values[k]);
  return run(session, fetches, feeds);
}

TEST_P(Subnormals, RecurrentStacksGiveZero) {
  for (const test::CellForm& form : test::kCellForms)
    for (const bool zero_input : {false, true})
      check(std::string(form.name) + (zero_input ? " of subnormal states" : " of late losses"),
            [&](const auto& backend) { return run_stack(backend, form, zero_input); });
}

struct NamedOptimizer {
  const char* name;
  OptimizerKind kind;
  int slots;
};
constexpr NamedOptimizer kOptimizers[] = {{"sgd", OptimizerKind::kSgd, 0},
                                          {"momentum", OptimizerKind::kMomentum, 1},
                                          {"rmsprop", OptimizerKind::kRmsProp, 1},
                                          {"adam", OptimizerKind::kAdam, 2},
                                          {"adamw", OptimizerKind::kAdamW, 2}};

/// Parameter and slots, all of which begin at the least normal number, after steps of tiny
/// gradients; `sparse`: gradients of rows, most of which have none.
Floats run_optimizer(const std::shared_ptr<Backend>& backend, const NamedOptimizer& optimizer,
                     bool sparse) {
  constexpr std::int64_t kRows = 400, kColumns = 30;
  Graph g;
  const Tensor w = g.variable("w", {kRows, kColumns}, constant(double(FLT_MIN)));
  const Tensor ids = g.placeholder("ids", {3}, DType::kInt32);
  const Tensor slope = g.placeholder("slope", {sparse ? 3 : kRows, kColumns});
  const Tensor cost = reduce_sum((sparse ? embedding(w, ids) : w) * slope);
  const Tensor step =
      Optimizer({.kind = optimizer.kind, .weight_decay = 0.01F}, 0.1).minimize(cost);
  Session session(g, backend, 1);
  VariableStore& store = session.variables();
  std::vector<std::string> names{"w", "optimizer/w/first", "optimizer/w/second"};
  names.resize(std::size_t(1 + optimizer.slots));
  const Floats least(kRows * kColumns, FLT_MIN);
  for (const std::string& name : names) store.write<float>(name, std::span<const float>(least));
  const Floats slopes = test::floats(Random(8).array({slope.shape().elements()}, -1e-20, 1e-20));
  const std::vector<std::int32_t> rows{1, 7, 1};
  Floats all;
  for (int k = 0; k < 3; ++k) {
    if (sparse)
      session.run(step, {{ids, rows}, {slope, slopes}});
    else
      session.run(step, {{slope, slopes}});
    for (const std::string& name : names) {
      const Floats values = store.read<float>(name);
      all.insert(all.end(), values.begin(), values.end());
    }
  }
  return all;
}

TEST_P(Subnormals, ParametersAndSlotsOfOptimisersBecomeZero) {
  for (const NamedOptimizer& optimizer : kOptimizers)
    for (const bool sparse : {false, true})
      check(std::string(optimizer.name) + (sparse ? " sparse" : ""),
            [&](const auto& backend) { return run_optimizer(backend, optimizer, sparse); });
}

// Words that occur once in a text: their slots shrink in every later step.
TEST_P(Subnormals, SlotsOfRowsWithoutGradientEndAtZero) {
  Graph g;
  const Tensor table = g.variable("table", {2, 5}, constant(1));
  const Tensor ids = g.placeholder("ids", {1}, DType::kInt32);
  const Tensor step = Optimizer({.kind = OptimizerKind::kAdam, .beta1 = 0.5F, .beta2 = 0.5F}, 0.001)
                          .minimize(reduce_sum(embedding(table, ids)));
  Session session(g, backend_, 1);
  session.run(step, {{ids, std::vector<std::int32_t>{1}}});
  const std::vector<std::int32_t> other{0};
  for (int k = 0; k < 160; ++k) {
    session.run(step, {{ids, other}});
    for (const char* slot : {"optimizer/table/first", "optimizer/table/second"})
      for (const float x : session.variables().read<float>(slot))
        ASSERT_NE(std::fpclassify(x), FP_SUBNORMAL) << slot << " after " << k;
  }
  const Floats first = session.variables().read<float>("optimizer/table/first");
  EXPECT_EQ(Floats(first.begin() + 5, first.end()), Floats(5, 0.0F));
}

}  // namespace
}  // namespace unroll::host
