/// Optimisers: every kind against float64 over several steps, dense and sparse gradients, clipping,
/// and refused steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/reference_training.h"
#include "tests/support/temp_folder.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct OptimizerCase {
  const char* name;
  OptimizerSpec spec;
  double learning_rate;
};

const OptimizerCase kOptimizerCases[] = {
    {"sgd", {.kind = OptimizerKind::kSgd}, 0.5},
    {"momentum", {.kind = OptimizerKind::kMomentum, .momentum = 0.8F}, 0.1},
    {"rmsprop", {.kind = OptimizerKind::kRmsProp, .decay = 0.9F}, 0.01},
    {"adam", {.kind = OptimizerKind::kAdam}, 0.01},
    {"adamw", {.kind = OptimizerKind::kAdamW, .beta1 = 0.8F, .beta2 = 0.99F}, 0.01},
};

/// Every kind, plain, with decay, with clipping by norm, by value, with all of them, and with a
/// norm limit that is never reached.
std::vector<OptimizerCase> optimizer_cases() {
  std::vector<OptimizerCase> all;
  for (const OptimizerCase& kind : kOptimizerCases)
    for (int options = 0; options <= 8; ++options) {
      OptimizerCase c = kind;
      if (options & 1) c.spec.weight_decay = 0.05F;
      if (options & 2) c.spec.clip_norm = 1.5F;
      if (options & 4) c.spec.clip_value = 0.1F;
      if (options & 8) c.spec.clip_norm = 100;
      all.push_back(c);
    }
  return all;
}

std::string describe(const OptimizerCase& c) {
  return std::string(c.name) + " decay " + std::to_string(c.spec.weight_decay) + " clip norm " +
         std::to_string(c.spec.clip_norm) + " value " + std::to_string(c.spec.clip_value);
}

int slots_of(OptimizerKind kind) {
  if (kind == OptimizerKind::kSgd) return 0;
  return kind == OptimizerKind::kMomentum || kind == OptimizerKind::kRmsProp ? 1 : 2;
}

/// The size of a slot's values for gradients below 0.25: sums of them, or averages of their
/// squares.
double slot_size(const OptimizerSpec& spec, int slot) {
  if (spec.kind == OptimizerKind::kRmsProp) return 0.06 * double(1 - spec.decay);
  return slot == 1 ? 0.06 * double(1 - spec.beta2) : 0.25;
}

/// Sizes around vectors, warps and blocks; the last is a table with sparse gradients.
const Dims kShapes[] = {{1}, {31}, {32}, {3, 11}, {257}, {256}, {4, 1025}, {11, 33}};
constexpr std::size_t kTable = 7;
constexpr std::int64_t kIds = 8;  // rows of its sparse gradient

class ApplyGradientsKernel : public OnEachBackend {
 protected:
  /// Parameters, slots and counters on the device, and the same in float64.
  struct Training {
    std::vector<ParameterUpdate> parameters;
    View loss, learning_rate, counters, statistics, scratch;
    LossGuardSpec guard;
    reference::OptimizerState expected;
  };

  Training start(const OptimizerCase& c, bool sparse, Random& random) {
    Training t;
    for (std::size_t k = 0; k < shapes_.size(); ++k) {
      const Reals value = random.array(shapes_[k], -1, 1);
      ParameterUpdate update{};
      update.parameter = memory_->inout(value);
      if (sparse && tables_.contains(k)) {
        update.sparse = true;
        update.gradient = memory_->inout(Reals(Dims{kIds, shapes_[k][1]}));
        update.ids = memory_->inout(std::vector<std::int32_t>(kIds, -1), {kIds});
      } else {
        update.gradient = memory_->inout(Reals(shapes_[k]));
      }
      for (int slot = 0; slot < slots_of(c.spec.kind); ++slot)
        update.slots[slot] = memory_->inout(Reals(shapes_[k]));
      t.parameters.push_back(update);
      t.expected.parameters.push_back({value.values});
    }
    t.loss = memory_->inout<float>({1}, {1});
    t.learning_rate = memory_->in<float>({float(c.learning_rate)}, {1});
    t.counters = memory_->inout<std::int64_t>({0, 0, 0, 7, 0}, {5});
    t.statistics = memory_->inout<float>(std::vector<float>(9), {9});
    t.scratch = memory_->raw(backend_->apply_gradients_scratch_bytes(t.parameters));
    return t;
  }

  template <typename T>
  void write(const View& view, const std::vector<T>& values) {
    ASSERT_EQ(view.bytes(), values.size() * sizeof(T));
    backend_->upload(view.data, values.data(), view.bytes());
  }

  void apply(const OptimizerCase& c, const Training& t) {
    backend_->apply_gradients({.spec = c.spec,
                               .guard = t.guard,
                               .loss = t.loss,
                               .learning_rate = t.learning_rate,
                               .counters = t.counters,
                               .statistics = t.statistics,
                               .parameters = t.parameters,
                               .scratch = t.scratch});
  }

  /// Uploads random gradients and returns them, dense. Some rows of a table get none.
  std::vector<std::vector<double>> draw_gradients(const Training& t, Random& random) {
    std::vector<std::vector<double>> gradients;
    for (std::size_t k = 0; k < t.parameters.size(); ++k) {
      const ParameterUpdate& update = t.parameters[k];
      Reals dense = random.array(shapes_[k], -0.2, 0.2);
      if (tables_.contains(
              k)) {  // rows without a gradient: at random, and the same for both storages
        std::vector<std::int32_t> ids;
        Reals rows({kIds, dense.last()});
        for (std::int32_t row = 0; row < dense.rows(); ++row) {
          const bool used = ids.size() + 1 < kIds && random.uniform(0, 1) < 0.5;
          for (std::int64_t e = 0; e < dense.last(); ++e) {
            if (used) rows.at(std::int64_t(ids.size()), e) = dense.at(row, e);
            if (!used) dense.at(row, e) = 0;
          }
          if (used) ids.push_back(row);
        }
        ids.resize(kIds, -1);
        if (update.sparse) write(update.ids, ids);
        write(update.gradient, floats(update.sparse ? rows : dense));
      } else {
        write(update.gradient, floats(dense));
      }
      gradients.push_back(dense.values);
    }
    return gradients;
  }

  /// Everything that a skipped step must not change.
  std::vector<std::vector<float>> state(const Training& t) {
    std::vector<std::vector<float>> all;
    for (const ParameterUpdate& update : t.parameters) {
      all.push_back(memory_->get(update.parameter));
      for (const View& slot : update.slots)
        if (slot) all.push_back(memory_->get(slot));
    }
    return all;
  }

  /// Trains for some steps on the device and in float64, and compares.
  void expect_float64(const OptimizerCase& c, bool sparse) {
    constexpr int kSteps = 5;
    SCOPED_TRACE(describe(c) + (sparse ? " sparse" : " dense"));
    Random random(71);
    Training t = start(c, sparse, random);
    for (int step = 0; step < kSteps; ++step) {
      const auto gradients = draw_gradients(t, random);
      apply(c, t);
      reference::apply_gradients(c.spec, double(float(c.learning_rate)), 1, gradients, t.expected);
      // Up to 4096 squares, summed in float32: sqrt(4096) roundings of half an ulp, halved by the
      // root.
      EXPECT_TRUE(close(std::vector<float>{statistics(t).norm}, {t.expected.norm}, 18));
    }
    EXPECT_EQ(counters(t).updates, kSteps);
    EXPECT_EQ(counters(t).skipped, 0);
    for (std::size_t k = 0; k < t.parameters.size(); ++k) {
      SCOPED_TRACE(to_string(shape_of(shapes_[k])));
      const reference::OptimizedParameter& expected = t.expected.parameters[k];
      // A step rounds the parameter once (half an ulp of 1), and its change, lr times a value of
      // size 1, about 18 times; most of that is the error of the norm.
      EXPECT_TRUE(close(memory_->get(t.parameters[k].parameter), expected.value,
                        kSteps * (1 + 18 * c.learning_rate)));
      for (int slot = 0; slot < slots_of(c.spec.kind); ++slot)
        EXPECT_TRUE(close(memory_->get(t.parameters[k].slots[slot]), expected.slots[slot],
                          2 * 18 * kSteps, slot_size(c.spec, slot)));
    }
    finish_case();
  }

  StepCounters counters(const Training& t) {
    const std::vector<std::int64_t> c = memory_->get<std::int64_t>(t.counters);
    return {c[0], c[1], c[2], c[3], c[4]};
  }
  StepStatistics statistics(const Training& t) {
    const std::vector<float> s = memory_->get(t.statistics);
    return {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8]};
  }

  std::vector<Dims> shapes_{std::begin(kShapes), std::end(kShapes)};
  std::set<std::size_t> tables_{kTable};
};

TEST_P(ApplyGradientsKernel, EveryKindMatchesFloat64OverSeveralSteps) {
  for (const OptimizerCase& c : optimizer_cases())
    for (const bool sparse : {false, true}) expect_float64(c, sparse);
}

// More parameters than one kernel takes as its arguments, with sizes around those of the pieces,
// and sparse ones, of whole vectors and of others, at both ends.
TEST_P(ApplyGradientsKernel, ManyParametersOfAllSizes) {
  shapes_.clear();
  for (std::int64_t k = 0; k < 101; ++k) shapes_.push_back({1 + k % 9});
  for (const std::int64_t size : {4095, 4096, 4097, 8193}) shapes_[std::size_t(size) % 48] = {size};
  shapes_[3] = {11, 33};
  shapes_[47] = {600, 8};
  shapes_[48] = {9, 1028};
  shapes_[100] = {7, 1};
  tables_ = {3, 47, 48, 100};
  std::vector<OptimizerCase> cases(std::begin(kOptimizerCases), std::end(kOptimizerCases));
  cases.push_back(kOptimizerCases[0]);  // plain SGD skips rows that this one moves
  cases.back().spec.weight_decay = 0.05F;
  for (OptimizerCase& c : cases)
    for (const int shift : {0, 1}) {
      c.spec.clip_norm = 1.5F;
      memory_->shift_by(shift);
      expect_float64(c, true);
    }
}

TEST_P(ApplyGradientsKernel, WhatIsNotFiniteChangesNothingButTheCount) {
  for (const OptimizerCase& c : optimizer_cases())
    for (const bool sparse : {false, true}) {
      SCOPED_TRACE(describe(c) + (sparse ? " sparse" : " dense"));
      Random random(72);
      Training t = start(c, sparse, random);
      auto gradients = draw_gradients(t, random);
      apply(c, t);
      reference::apply_gradients(c.spec, double(float(c.learning_rate)), 1, gradients, t.expected);
      const auto before = state(t);
      std::int64_t bad_steps = 0;
      const auto expect_skipped = [&](std::int64_t culprit) {
        StepCounters now = counters(t);
        write<std::int64_t>(t.counters, {now.updates, now.skipped, 0, 7, 0});  // a new row
        const float loss = memory_->get(t.loss)[0], loss_sum = statistics(t).loss_sum;
        apply(c, t);
        const auto after = state(t);
        for (std::size_t k = 0; k < before.size(); ++k) EXPECT_TRUE(identical(after[k], before[k]));
        now = counters(t);
        EXPECT_EQ(now.skipped, ++bad_steps);
        EXPECT_EQ(now.updates, 1);
        EXPECT_EQ(now.refused, 1);
        EXPECT_EQ(now.culprit, culprit);
        const StepStatistics measured = statistics(t);
        EXPECT_EQ(measured.loss_sum, loss_sum);
        using Values = std::vector<float>;
        EXPECT_TRUE(
            identical(Values{measured.refused_loss, measured.refused_limit, measured.refused_norm},
                      Values{loss, t.guard.ceiling, measured.norm}));
      };
      for (const float loss : {kNan, kInf, -kInf}) {
        SCOPED_TRACE(loss);
        write<float>(t.loss, {loss});
        expect_skipped(-1);
      }
      // A loss above the ceiling; at the ceiling it would pass.
      t.guard.ceiling = 1;
      write<float>(t.loss, {std::nextafter(1.0F, 2.0F)});
      expect_skipped(-1);
      write<float>(t.loss, {1});
      for (const std::size_t k : {std::size_t{0}, std::size_t{4}, kTable})
        for (const float bad : {kNan, kInf, -kInf}) {
          SCOPED_TRACE(::testing::Message() << bad << " in gradient " << k);
          const std::vector<float> good = memory_->get(t.parameters[k].gradient);
          std::vector<float> changed = good;
          changed[std::min<std::size_t>(5, good.size() - 1)] = bad;  // the table's first row
          write(t.parameters[k].gradient, changed);
          expect_skipped(std::int64_t(k));
          EXPECT_FALSE(std::isfinite(statistics(t).norm));
          write(t.parameters[k].gradient, good);
        }
      // The next good step is the second, not the fourteenth: Adam's t stood still.
      gradients = draw_gradients(t, random);
      apply(c, t);
      reference::apply_gradients(c.spec, double(float(c.learning_rate)), 1, gradients, t.expected);
      for (std::size_t k = 0; k < t.parameters.size(); ++k)
        EXPECT_TRUE(close(memory_->get(t.parameters[k].parameter), t.expected.parameters[k].value,
                          2 * (1 + 18 * c.learning_rate)));
      finish_case();
    }
}

TEST_P(ApplyGradientsKernel, ZeroGradientsHaveNormZero) {
  for (const OptimizerCase& c : optimizer_cases()) {
    SCOPED_TRACE(describe(c));
    Random random(73);
    Training t = start(c, false, random);
    apply(c, t);
    EXPECT_EQ(statistics(t).norm, 0.0F);
    EXPECT_EQ(counters(t).updates, 1);
    for (const std::vector<float>& values : state(t))
      for (const float x : values) EXPECT_TRUE(std::isfinite(x));
    finish_case();
  }
}

// Losses around a mean, some far above it, some above the ceiling, some NaN or infinite. A new
// level, from step 200 on, becomes the mean.
TEST_P(ApplyGradientsKernel, TheGuardMatchesFloat64) {
  const OptimizerCase& c = kOptimizerCases[0];
  Random random(75);
  Training t = start(c, false, random);
  t.guard.ceiling = 20;
  reference::LossGuard expected{.ceiling = 20};
  double sum = 0;
  for (int step = 0; step < 300; ++step) {
    float loss = 4 + float(random.uniform(-1, 1));
    if (step > 120 && step % 61 == 60) loss *= 4;
    if (step >= 200) loss += 10;
    if (step % 50 == 49) loss = kNan;
    if (step % 50 == 48) loss = 20.5F;
    write<float>(t.loss, {loss});
    const bool accepted = expected.accept(double(loss));
    if (accepted) sum += double(loss);
    const StepCounters before = counters(t);
    apply(c, t);
    const StepCounters after = counters(t);
    ASSERT_EQ(after.updates, before.updates + (accepted ? 1 : 0)) << step;
    ASSERT_EQ(after.skipped, before.skipped + (accepted ? 0 : 1)) << step;
    ASSERT_EQ(after.refused, accepted ? 0 : before.refused + 1) << step;
    ASSERT_EQ(after.jumps, expected.jumps) << step;
    const StepStatistics measured = statistics(t);
    if (after.jumps > before.jumps) {
      ASSERT_EQ(measured.jump_loss, loss) << step;
      ASSERT_GT(loss, measured.jump_limit) << step;
    }
    // Decaying sums of positive numbers: two roundings of each of the last hundred or so.
    ASSERT_NEAR(measured.loss_mean, expected.mean, 1e-4) << step;
    ASSERT_NEAR(measured.loss_variance, expected.variance, 1e-3) << step;
    ASSERT_NEAR(measured.loss_sum, sum, 1e-6 * sum * (step + 1)) << step;
  }
  EXPECT_GT(counters(t).skipped, 10);
  EXPECT_GT(counters(t).jumps, 1);
}

TEST_P(ApplyGradientsKernel, AGuardThatHaltsRefusesUntilItIsTold) {
  const OptimizerCase& c = kOptimizerCases[3];
  Random random(76);
  Training t = start(c, false, random);
  t.guard = {.ceiling = 2, .halts = true};
  const auto step = [&](float loss) {
    write<float>(t.loss, {loss});
    apply(c, t);
    return counters(t);
  };
  EXPECT_EQ(step(1).updates, 1);
  const auto before = state(t);
  EXPECT_EQ(step(3).refused, 1);
  for (int k = 2; k < 5; ++k) EXPECT_EQ(step(1).refused, k);
  StepCounters now = counters(t);
  EXPECT_EQ(now.updates, 1);
  EXPECT_EQ(now.skipped, 4);
  EXPECT_EQ(statistics(t).refused_loss, 3);  // the first refused loss
  EXPECT_EQ(statistics(t).refused_limit, 2);
  const auto after = state(t);
  for (std::size_t k = 0; k < before.size(); ++k) EXPECT_TRUE(identical(after[k], before[k]));
  write<std::int64_t>(t.counters, {now.updates, now.skipped, 0, now.culprit, now.jumps});
  now = step(1);
  EXPECT_EQ(now.updates, 2);
  EXPECT_EQ(now.refused, 0);
}

UNROLL_FOR_EACH_BACKEND(ApplyGradientsKernel);

/// cost = sum(a ca) + sum(embedding(table, ids) ce). Its gradients are ca, and the rows of ce by
/// id. With `dense`, the whole table also enters, times zero.
struct LinearModel {
  Graph graph;
  Tensor a, table, ca, ce, ids, cost, step;

  LinearModel(const OptimizerCase& c, bool dense) {
    a = graph.variable("a", {3, 5}, uniform(-1, 1));
    table = graph.variable("table", {7, 4}, uniform(-1, 1));
    ca = graph.placeholder("ca", {3, 5});
    ce = graph.placeholder("ce", {6, 4});
    ids = graph.placeholder("ids", {6}, DType::kInt32);
    cost = reduce_sum(a * ca) + reduce_sum(embedding(table, ids) * ce);
    if (dense) cost = cost + reduce_sum(table * 0);
    step = Optimizer(c.spec, c.learning_rate).minimize(cost);
  }
};

class OptimizerOp : public OnEachBackend {};

StepCounters counters_of(const VariableStore& store) {
  const auto c = store.read<std::int64_t>(Optimizer::kCounters);
  return {c[0], c[1], c[2], c[3], c[4]};
}

std::vector<float> norm_of(const VariableStore& store) {
  return {store.read<float>(Optimizer::kStatistics)[0]};
}

TEST_P(OptimizerOp, SparseAndDenseGradientsTrainAlike) {
  constexpr int kSteps = 4;
  for (const OptimizerCase& c : optimizer_cases()) {
    SCOPED_TRACE(describe(c));
    LinearModel sparse(c, false), dense(c, true);
    Session first(sparse.graph, backend_, 5), second(dense.graph, backend_, 5);
    reference::OptimizerState expected;
    for (const char* name : {"a", "table"})
      expected.parameters.push_back({doubles(first.variables().read<float>(name))});
    Random random(74);
    for (int step = 0; step < kSteps; ++step) {
      const Reals ca = random.array({3, 5}, -1, 1), ce = random.array({6, 4}, -1, 1);
      // Repeated ids, and one without a row, whose gradient is dropped.
      const std::vector<std::int32_t> ids{3, 0, 3, step, 3, step == 2 ? 9 : 6};
      const std::vector<float> ca_values = floats(ca), ce_values = floats(ce);
      first.run(sparse.step, {{sparse.ca, ca_values}, {sparse.ce, ce_values}, {sparse.ids, ids}});
      second.run(dense.step, {{dense.ca, ca_values}, {dense.ce, ce_values}, {dense.ids, ids}});
      Reals table({7, 4});
      for (std::size_t m = 0; m < ids.size(); ++m)
        for (std::int64_t e = 0; e < 4 && ids[m] < 7; ++e)
          table.at(ids[m], e) += ce.at(std::int64_t(m), e);
      reference::apply_gradients(c.spec, double(float(c.learning_rate)), 1,
                                 {ca.values, table.values}, expected);
      EXPECT_TRUE(close(norm_of(first.variables()), {expected.norm}, 8));
    }
    // As in the kernel test; a coalesced row adds two roundings of up to 2.
    const double ulps = kSteps * (1 + 18 * c.learning_rate);
    for (Session* session : {&first, &second}) {
      SCOPED_TRACE(session == &first ? "sparse" : "dense");
      VariableStore& store = session->variables();
      EXPECT_TRUE(close(store.read<float>("a"), expected.parameters[0].value, ulps));
      EXPECT_TRUE(close(store.read<float>("table"), expected.parameters[1].value, ulps));
      EXPECT_EQ(counters_of(store).updates, kSteps);
      EXPECT_EQ(counters_of(store).skipped, 0);
    }
  }
}

/// Bits of all variables of a store except counters and statistics.
std::map<std::string, std::vector<float>> trained_state(const VariableStore& store) {
  std::map<std::string, std::vector<float>> state;
  for (const std::string& name : store.names())
    if (name != Optimizer::kCounters && name != Optimizer::kStatistics)
      state[name] = store.read<float>(name);
  return state;
}

TEST_P(OptimizerOp, AStepThatIsNotFiniteIsCountedAndLeavesEveryVariable) {
  for (const OptimizerCase& c : kOptimizerCases) {
    SCOPED_TRACE(c.name);
    LinearModel model(c, false);
    Session session(model.graph, backend_, 5);
    const std::vector<std::int32_t> ids{3, 0, 3, 1, 3, 6};
    const auto run = [&](float ca, float ce) {
      session.run(model.step, {{model.ca, std::vector<float>(15, ca)},
                               {model.ce, std::vector<float>(24, ce)},
                               {model.ids, ids}});
    };
    run(0.5F, 0.25F);
    const auto before = trained_state(session.variables());
    EXPECT_GE(before.size(), 2 + 2 * std::size_t(slots_of(c.spec.kind)));
    std::int64_t bad_steps = 0;
    for (const auto& [ca, ce] : {std::pair{kNan, 0.25F}, {0.5F, kNan}, {kInf, 0.25F}}) {
      run(ca, ce);
      const auto after = trained_state(session.variables());
      for (const auto& [name, values] : before)
        EXPECT_TRUE(identical(after.at(name), values)) << name;
      EXPECT_EQ(counters_of(session.variables()).skipped, ++bad_steps);
      EXPECT_EQ(counters_of(session.variables()).updates, 1);
    }
    run(0.5F, 0.25F);
    EXPECT_NE(trained_state(session.variables()).at("a"), before.at("a"));
    EXPECT_EQ(counters_of(session.variables()).updates, 2);
  }
}

// The loss is finite, its gradient is not: d(1 / a) / da = -1 / a^2 overflows at a = 1e-30.
TEST_P(OptimizerOp, AFiniteLossWithAnInfiniteGradientIsSkipped) {
  Graph g;
  const Tensor a = g.variable("a", {3}, constant(double(1e-30F)));
  const Tensor cost = reduce_sum(1 / a);
  const Tensor step = AdamOptimizer(0.1).minimize(cost);
  Session session(g, backend_);
  session.run(step);
  EXPECT_EQ(session.variables().read<float>("a"), std::vector<float>(3, 1e-30F));
  EXPECT_EQ(counters_of(session.variables()).skipped, 1);
}

// A cost that is a sum, guarded by its mean: 8 is above the ceiling, 2 is not.
TEST_P(OptimizerOp, TheGuardMayLookAtAnotherLossThanTheCost) {
  for (const bool mean : {false, true}) {
    Graph g;
    const Tensor a = g.variable("a", {4}, constant(2));
    MinimizeOptions options{.guard = {.ceiling = 3}};
    if (mean) options.loss = reduce_mean(a);
    const Tensor step = GradientDescentOptimizer(0.5).minimize(reduce_sum(a), options);
    Session session(g, backend_);
    session.run(step);
    EXPECT_EQ(session.variables().read<float>("a"), std::vector<float>(4, mean ? 1.5F : 2.0F));
    EXPECT_EQ(counters_of(session.variables()).skipped, mean ? 0 : 1);
  }
}

TEST_P(OptimizerOp, OnlyTheVariablesAskedForAreTrained) {
  Graph g;
  const Tensor a = g.variable("a", {2}, constant(1)), b = g.variable("b", {2}, constant(1));
  const Tensor frozen = g.variable("frozen", {2}, constant(1), {.trainable = false});
  g.variable("unused", {2}, constant(1));
  const Tensor cost = reduce_sum(a * 2 + b * 3 + frozen * 4);
  const Tensor all = GradientDescentOptimizer(0.5).minimize(cost);
  Session session(g, backend_);
  session.run(all);
  EXPECT_EQ(session.variables().read<float>("a"), (std::vector<float>{0, 0}));
  EXPECT_EQ(session.variables().read<float>("b"), (std::vector<float>{-0.5F, -0.5F}));
  EXPECT_EQ(session.variables().read<float>("frozen"), (std::vector<float>{1, 1}));
  EXPECT_EQ(session.variables().read<float>("unused"), (std::vector<float>{1, 1}));

  Graph h;
  const Tensor c = h.variable("a", {2}, constant(1)), d = h.variable("b", {2}, constant(1));
  const Tensor one =
      GradientDescentOptimizer(0.5).minimize(reduce_sum(c * 2 + d * 3), {.variables = {d}});
  Session second(h, backend_);
  second.run(one);
  EXPECT_EQ(second.variables().read<float>("a"), (std::vector<float>{1, 1}));
  EXPECT_EQ(second.variables().read<float>("b"), (std::vector<float>{-0.5F, -0.5F}));
}

TEST_P(OptimizerOp, TheLearningRateIsAVariable) {
  Graph g;
  const Tensor a = g.variable("a", {1}, constant(1));
  const Tensor step = GradientDescentOptimizer(0.5).minimize(reduce_sum(a));
  Session session(g, backend_);
  session.run(step);
  session.variables().write<float>(Optimizer::kLearningRate, std::vector<float>{0.25F});
  session.run(step);
  EXPECT_EQ(session.variables().read<float>("a"), std::vector<float>{0.25F});
}

// The forward pass of a step sees the parameters as they were before it.
TEST_P(OptimizerOp, TheCostOfAStepIsTheOneBeforeTheUpdate) {
  Graph g;
  const Tensor a = g.variable("a", {4}, constant(2));
  const Tensor cost = reduce_sum(a * a);
  const Tensor step = GradientDescentOptimizer(0.25).minimize(cost);
  const Tensor late = reduce_sum(a) * 1;  // a reader created after the update
  const std::vector<Tensor> fetches{step, cost, late};
  Session session(g, backend_);
  session.run(fetches, {});
  EXPECT_EQ(session.read(cost), std::vector<float>{16});
  EXPECT_EQ(session.read(late), std::vector<float>{8});
  session.run(fetches, {});
  EXPECT_EQ(session.read(cost), std::vector<float>{4});
}

UNROLL_FOR_EACH_BACKEND(OptimizerOp);

TEST(OptimizerArguments, AreChecked) {
  const double nan = double(kNan);
  EXPECT_THROW(GradientDescentOptimizer{nan}, std::invalid_argument);
  EXPECT_THROW(GradientDescentOptimizer{-0.1}, std::invalid_argument);
  EXPECT_THROW(AdamOptimizer{double(kInf)}, std::invalid_argument);
  const auto make = [](const OptimizerSpec& spec) { return Optimizer(spec, 0.1); };
  EXPECT_NO_THROW(make({}));
  EXPECT_THROW(make({.kind = OptimizerKind::kAdam, .beta1 = 1}), std::invalid_argument);
  EXPECT_THROW(make({.kind = OptimizerKind::kAdam, .beta2 = -0.1F}), std::invalid_argument);
  EXPECT_THROW(make({.kind = OptimizerKind::kAdam, .epsilon = kNan}), std::invalid_argument);
  EXPECT_THROW(make({.kind = OptimizerKind::kMomentum, .momentum = kInf}), std::invalid_argument);
  EXPECT_THROW(make({.kind = OptimizerKind::kRmsProp, .decay = -1}), std::invalid_argument);
  EXPECT_THROW(make({.weight_decay = -1}), std::invalid_argument);
  EXPECT_THROW(make({.clip_norm = -1}), std::invalid_argument);
  EXPECT_THROW(make({.clip_value = kNan}), std::invalid_argument);

  Graph g;
  const Tensor a = g.variable("a", {3}, constant(1));
  EXPECT_THROW(GradientDescentOptimizer(0.1).minimize(a), std::invalid_argument);
}

TEST(Optimizers, TrainFloat32Only) {
  Graph g;
  const Tensor a = g.variable("a", {3}, constant(1));
  const Tensor wide = g.variable("wide", {3}, constant(0), {.dtype = DType::kFloat64});
  const Tensor sum = reduce_sum(cast(a, DType::kFloat64) * wide);
  const GradientDescentOptimizer optimizer(0.1);
  EXPECT_EQ(error_of<std::invalid_argument>([&] { optimizer.minimize(sum); }),
            "optimizer: got the cost of float64, expected float32");
  EXPECT_EQ(
      error_of<std::invalid_argument>([&] { optimizer.minimize(cast(sum, DType::kFloat32)); }),
      "optimizer: got variable 'wide' of float64, expected float32");
  EXPECT_EQ(error_of<std::invalid_argument>(
                [&] { optimizer.minimize(reduce_sum(a), {.variables = {a}, .loss = sum}); }),
            "optimizer: got the loss of float64, expected float32");
}

}  // namespace
}  // namespace unroll::test
