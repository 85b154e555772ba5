/// Sessions: plans and the arena they share, feeds, assignments, stores, and reproducibility.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/language_model.h"
#include "tests/support/random.h"
#include "tests/support/recording_backend.h"
#include "tests/support/temp_folder.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

class SessionTest : public OnEachBackend {};

// The example of the design: a softmax regression written in the lecture's words.
TEST_P(SessionTest, LinearRegressionTrains) {
  constexpr std::int64_t kRows = 60, kInputs = 4, kClasses = 3;
  Random random(1);
  const Reals truth = random.array({kInputs, kClasses}, -2, 2);
  const std::vector<float> x_batch = floats(random.array({kRows, kInputs}, -1, 1));
  const Reals scores = reference::matmul(Reals({kRows, kInputs}, doubles(x_batch)), truth);
  std::vector<float> y_batch(kRows * kClasses, 0);
  for (std::int64_t m = 0; m < kRows; ++m) {
    const double* row = &scores.at(m, 0);
    y_batch[std::size_t(m * kClasses + (std::max_element(row, row + kClasses) - row))] = 1;
  }

  Graph g;
  const Tensor x = g.placeholder("x", {kRows, kInputs}), y = g.placeholder("y", {kRows, kClasses});
  const Tensor beta = g.variable("beta", {kInputs, kClasses}, uniform(-1, 1));
  const Tensor p = softmax(matmul(x, beta));
  const Tensor cost = reduce_mean(-reduce_sum(y * log(p), 1));
  const Tensor step = GradientDescentOptimizer(0.5).minimize(cost);
  const Tensor right = reduce_sum(cast(equal(p, reduce_max(p, 1, {.keep_dims = true})),
                                       DType::kFloat32) *
                                  y);  // rows whose best class is theirs
  Session session(g, backend_, 3);
  const float before = session.evaluate(cost, {{x, x_batch}, {y, y_batch}})[0];
  for (int epoch = 0; epoch < 300; ++epoch) session.run(step, {{x, x_batch}, {y, y_batch}});
  const float after = session.evaluate(cost, {{x, x_batch}, {y, y_batch}})[0];
  EXPECT_GT(before, 0.7F);
  EXPECT_LT(after, 0.35F);
  EXPECT_GE(session.evaluate(right, {{x, x_batch}, {y, y_batch}})[0], 0.9F * kRows);
}

TEST_P(SessionTest, PlansAreKeptPerFetchesAndShapes) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3});
  const Tensor sum = reduce_sum(x, 0), twice = x * 2;
  Session session(g, backend_);
  EXPECT_EQ(session.plans(), 0);
  const auto rows = [](std::size_t count, float value) {
    return std::vector<float>(count * 3, value);
  };
  // Back and forth between shapes and fetches, with other values every time.
  for (int round = 0; round < 3; ++round)
    for (const std::size_t count : {5U, 1U, 300U, 2U}) {
      const float value = float(round + 1) * 0.5F;
      EXPECT_EQ(session.evaluate(sum, {{x, rows(count, value)}}),
                std::vector<float>(3, value * float(count)));
      EXPECT_EQ(session.evaluate(twice, {{x, rows(count, value)}}), rows(count, 2 * value));
      EXPECT_EQ(session.shape(twice), (Shape{std::int64_t(count), 3}));
    }
  EXPECT_EQ(session.plans(), 8);
}

/// A graph whose every plan takes memory for a constant, so that plans can be counted.
struct CountedPlans {
  static constexpr int kMost = 64;

  Graph graph;
  Tensor x = graph.placeholder("x", {kOpen});
  Tensor y = x * graph.constant(3, {1});
  std::shared_ptr<RecordingBackend> recorder;
  Session session;

  explicit CountedPlans(const std::shared_ptr<Backend>& backend)
      : recorder(std::make_shared<RecordingBackend>(backend)), session(graph, recorder) {
    run(1000);  // the largest: the arena does not grow any more
    recorder->allocations = 0;
  }

  void run(std::size_t length) {
    const std::vector<float> values(length, 0.5F);
    EXPECT_EQ(session.evaluate(y, {{x, values}}), std::vector<float>(length, 1.5F));
  }
};

TEST_P(SessionTest, OfPlansForManyShapesTheLastOnesUsedAreKept) {
  CountedPlans plans(backend_);
  for (std::size_t length = 1; length < CountedPlans::kMost; ++length) plans.run(length);
  EXPECT_EQ(plans.session.plans(), CountedPlans::kMost);
  EXPECT_EQ(plans.recorder->allocations, CountedPlans::kMost - 1);
  plans.run(1000);  // known still
  EXPECT_EQ(plans.recorder->allocations, CountedPlans::kMost - 1);
  const int waits = plans.recorder->waits;
  plans.run(500);                           // in place of length 1, which was used longest ago
  EXPECT_GT(plans.recorder->waits, waits);  // what was dropped might have been at work
  plans.run(1000);
  plans.run(2);
  EXPECT_EQ(plans.recorder->allocations, CountedPlans::kMost);
  plans.run(1);
  EXPECT_EQ(plans.recorder->allocations, CountedPlans::kMost + 1);
  for (std::size_t length = 1; length < 300; ++length) plans.run(length);
  EXPECT_EQ(plans.session.plans(), CountedPlans::kMost);
}

TEST_P(SessionTest, ResultsOfTheLastRunOutliveThePlanningOfOthers) {
  CountedPlans plans(backend_);
  plans.run(7);
  std::vector<float> values(900, 1.0F);
  for (std::size_t length = 100; length < 300; ++length)
    plans.session.prepare(
        std::vector<Tensor>{plans.y},
        std::vector<Feed>{{plans.x, std::span<const float>(values).first(length)}});
  EXPECT_EQ(plans.session.read(plans.y), std::vector<float>(7, 1.5F));
  EXPECT_EQ(plans.session.plans(), CountedPlans::kMost);
}

TEST_P(SessionTest, ResultsThatALargerArenaReplacedAreNotRead) {
  CountedPlans plans(backend_);
  plans.run(7);
  const std::vector<float> values(100000, 1.0F);
  plans.session.prepare(std::vector<Tensor>{plans.y}, std::vector<Feed>{{plans.x, values}});
  EXPECT_THROW(plans.session.read(plans.y), std::invalid_argument);
  plans.run(7);
}

TEST_P(SessionTest, TheArenaIsTheLargestPlansNotTheSum) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 64});
  const Tensor y = reduce_sum(tanh(x) * exp(x) + x);
  const auto arena_of = [&](Session& session, const std::vector<std::int64_t>& sizes) {
    for (const std::int64_t rows : sizes)
      session.evaluate(y, {{x, std::vector<float>(std::size_t(rows * 64), 0.5F)}});
    return session.arena_bytes();
  };
  Session small(g, backend_), large(g, backend_), both(g, backend_), reversed(g, backend_);
  const std::size_t small_bytes = arena_of(small, {10}), large_bytes = arena_of(large, {1000});
  EXPECT_LT(small_bytes, large_bytes);
  EXPECT_EQ(arena_of(both, {10, 1000, 10, 500}), large_bytes);
  EXPECT_EQ(arena_of(reversed, {1000, 10, 1000}), large_bytes);
  EXPECT_EQ(both.plans(), 3);
}

TEST_P(SessionTest, MemoryIsReusedWhenALifetimeEnds) {
  // A chain of 50 elementwise steps on 1 MiB needs two or three buffers, not 50.
  Graph g;
  const Tensor x = g.placeholder("x", {1 << 18});
  Tensor y = x;
  for (int k = 0; k < 50; ++k) y = tanh(y) * 0.9;
  const Tensor sum = reduce_sum(y);
  Session session(g, backend_);
  session.evaluate(sum, {{x, std::vector<float>(1 << 18, 0.5F)}});
  EXPECT_LE(session.arena_bytes(), std::size_t{8} << 20);
}

// A value that is read late must survive everything that happens in between.
TEST_P(SessionTest, LongLivedValuesAreNotOverwritten) {
  Graph g;
  const Tensor x = g.placeholder("x", {1000});
  const Tensor early = x * 3;
  std::vector<Tensor> middle;
  Tensor y = x;
  for (int k = 0; k < 20; ++k) {
    y = y + 1;
    if (k % 5 == 0) middle.push_back(y * 2);
  }
  Tensor sum = early + y;
  for (const Tensor& m : middle) sum = sum + m;
  Session session(g, backend_);
  const std::vector<float> values(1000, 1.0F);
  const std::vector<Feed> feeds{{x, values}};
  const std::vector<Tensor> fetches{early, sum, middle[1]};
  session.run(fetches, feeds);
  EXPECT_EQ(session.read(early), std::vector<float>(1000, 3.0F));
  EXPECT_EQ(session.read(middle[1]), std::vector<float>(1000, 14.0F));
  EXPECT_EQ(session.read(sum), std::vector<float>(1000, 3.0F + 21 + 4 + 14 + 24 + 34));
}

TEST_P(SessionTest, FeedsAreChecked) {
  Graph g;
  const Tensor x = g.placeholder("x", {2, 3}), y = g.placeholder("y", {2, 3}),
               rows = g.placeholder("rows", {kOpen, 3});
  const Tensor ids = g.placeholder("ids", {2}, DType::kInt32);
  const Tensor sum = x + y, more = rows * 2, hot = one_hot(ids, 3);
  const std::vector<float> six(6, 1.0F), seven(7, 1.0F);
  Session session(g, backend_);
  EXPECT_THROW(session.run(sum), std::invalid_argument);
  EXPECT_THROW(session.run(sum, {{x, six}}), std::invalid_argument);
  EXPECT_THROW(session.run(sum, {{x, six}, {y, six}, {rows, six}}), std::invalid_argument);
  EXPECT_THROW(session.run(sum, {{x, six}, {y, six}, {x, six}}), std::invalid_argument);
  EXPECT_THROW(session.run(sum, {{x, six}, {y, seven}}), std::invalid_argument);
  EXPECT_THROW(session.run(more, {{rows, seven}}), std::invalid_argument);
  EXPECT_THROW(session.run(hot, {{ids, six}}), std::invalid_argument);
  EXPECT_THROW(session.run(sum, {{x, std::span<const float>(six), Shape{3, 2}}, {y, six}}),
               std::invalid_argument);
  EXPECT_THROW(session.run(sum, {{sum, six}, {x, six}, {y, six}}), std::invalid_argument);
  EXPECT_EQ(session.evaluate(sum, {{x, six}, {y, six}}), std::vector<float>(6, 2.0F));
}

// What one session has made feeds another one where it lies, without a copy.
TEST_P(SessionTest, AFeedMayLieOnTheDevice) {
  Graph made, fed;
  const Tensor x = made.placeholder("x", {kOpen}), doubled = x * 2.0F;
  const Tensor y = fed.placeholder("y", {kOpen}), z = fed.placeholder("z", {kOpen});
  const Tensor sum = y + z;
  Session first(made, backend_), second(fed, backend_);
  for (const std::vector<float>& values :
       {std::vector<float>{1, 2, 3}, {4, 5, 6}, {7, 8}, {9, 10, 11}}) {
    first.run(doubled, {{x, values}});
    const View view = first.view(doubled);
    EXPECT_EQ(view.shape, Shape{std::int64_t(values.size())});
    second.run(sum, {{y, view}, {z, values}});
    std::vector<float> expected;
    for (const float value : values) expected.push_back(3 * value);
    EXPECT_EQ(second.read(sum), expected);
    // The same from the host is another plan of the same shapes.
    second.run(sum, {{y, values}, {z, view}});
    EXPECT_EQ(second.read(sum), expected);
  }
  const View floats = first.view(doubled);
  EXPECT_THROW(Feed(y, View{floats.data, floats.shape, DType::kInt32}), std::invalid_argument);
  EXPECT_THROW(Feed(y, View{floats.data, Shape{3, 1}}), std::invalid_argument);
  EXPECT_THROW(first.view(x), std::invalid_argument);
}

TEST_P(SessionTest, EmptyFeedsAreRefusedByNameAndDimension) {
  Graph g;
  const Tensor x = g.placeholder("x", {3, kOpen}), fixed = g.placeholder("fixed", {2, 3});
  const std::vector<float> none;
  const auto message = [](const auto& feed) {
    try {
      feed();
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message([&] { Feed(x, none); }),
            "placeholder 'x' [3, ?]: got no values, so dimension 1 would be 0, expected 1 or more");
  EXPECT_EQ(message([&] {
              Feed(x, std::span<const float>(), Shape{3, 0});
            }),
            "placeholder 'x' [3, ?]: got no values, so dimension 1 would be 0, expected 1 or more");
  EXPECT_EQ(message([&] { Feed(fixed, none); }),
            "placeholder 'fixed': got 0 float32 values, expected float32 [2, 3]");
}

TEST_P(SessionTest, ShapesThatTheFeedsMakeDisagreeAreRefused) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen}), y = g.placeholder("y", {kOpen});
  const Tensor sum = x * y;
  Session session(g, backend_);
  const std::vector<float> two(2, 1.0F), three(3, 1.0F);
  EXPECT_THROW(session.run(sum, {{x, two}, {y, three}}), std::invalid_argument);
  EXPECT_EQ(session.evaluate(sum, {{x, three}, {y, three}}), three);
}

TEST_P(SessionTest, ErrorsLeaveTheSessionUsable) {
  Graph g;
  const Tensor v = g.variable("v", {2}, constant(1)), x = g.placeholder("x", {2});
  const Tensor step = assign_add(v, x);
  Session session(g, backend_);
  EXPECT_THROW(session.run(step), std::invalid_argument);
  session.run(step, {{x, std::vector<float>{1, 2}}});
  EXPECT_EQ(session.variables().read<float>("v"), (std::vector<float>{2, 3}));
}

TEST_P(SessionTest, OnlyWhatTheFetchesNeedIsRun) {
  Graph g;
  const Tensor x = g.placeholder("x", {1});
  const Tensor v = g.variable("v", {1}, constant(1));
  const Tensor twice = v * 2;
  assign_add(v, x);
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(twice), std::vector<float>{2});  // x is not fed
  EXPECT_EQ(session.variables().read<float>("v"), std::vector<float>{1});
}

TEST_P(SessionTest, ReadingWantsAFetchOfTheLastRun) {
  Graph g;
  const Tensor x = g.placeholder("x", {2});
  const Tensor y = x * 2, z = x * 3;
  Session session(g, backend_);
  const std::vector<float> ones(2, 1.0F);
  EXPECT_THROW(session.read(y), std::invalid_argument);
  session.run(y, {{x, ones}});
  EXPECT_NO_THROW(session.read(y));
  EXPECT_THROW(session.read(z), std::invalid_argument);
  EXPECT_THROW(session.read<std::int32_t>(y), std::invalid_argument);
  std::vector<float> three(3);
  EXPECT_THROW(session.read<float>(y, three), std::invalid_argument);
  session.run(z, {{x, ones}});
  EXPECT_THROW(session.read(y), std::invalid_argument);
}

TEST_P(SessionTest, AssignmentsComeAfterEveryReader) {
  Graph g;
  const Tensor v = g.variable("v", {3}, constant(1));
  const Tensor before = v * 10;
  const Tensor step = assign(v, v + 1);
  const Tensor later = v * 100;  // created after the assignment, run before it
  const std::vector<Tensor> fetches{step, before, later};
  Session session(g, backend_);
  for (int run = 1; run <= 3; ++run) {
    session.run(fetches, {});
    EXPECT_EQ(session.read(before), std::vector<float>(3, 10.0F * float(run)));
    EXPECT_EQ(session.read(later), std::vector<float>(3, 100.0F * float(run)));
    EXPECT_EQ(session.variables().read<float>("v"), std::vector<float>(3, float(run + 1)));
  }
}

TEST_P(SessionTest, AssignedValuesAreThoseBeforeAnyAssignment) {
  Graph g;
  const Tensor a = g.variable("a", {2}, constant(1)), b = g.variable("b", {2}, constant(2));
  const std::vector<Tensor> swap{assign(a, b * 1), assign(b, a * 1)};
  Session session(g, backend_);
  session.run(group(swap));
  EXPECT_EQ(session.variables().read<float>("a"), std::vector<float>(2, 2.0F));
  EXPECT_EQ(session.variables().read<float>("b"), std::vector<float>(2, 1.0F));
}

// The values are the variables themselves, or views of them: nothing to keep them apart but order.
TEST_P(SessionTest, VariablesCanBeSwappedDirectly) {
  for (const int form : {0, 1, 2}) {
    SCOPED_TRACE(form);
    Graph g;
    const Tensor a = g.variable("a", {2}, constant(1)), b = g.variable("b", {2}, constant(2));
    const auto value = [form](Tensor v) {
      return form == 0 ? v : form == 1 ? reshape(v, {2}) : stop_gradient(v);
    };
    const std::vector<Tensor> swap{assign(a, value(b)), assign(b, value(a))};
    Session session(g, backend_);
    session.run(group(swap));
    EXPECT_EQ(session.variables().read<float>("a"), std::vector<float>(2, 2.0F));
    EXPECT_EQ(session.variables().read<float>("b"), std::vector<float>(2, 1.0F));
  }
}

// A copy of a weight taken in the run that trains it is the weight before the step.
TEST_P(SessionTest, ACopyOfATrainedVariableIsTheOneBeforeTheStep) {
  for (const bool copy_first : {false, true}) {
    Graph g;
    const Tensor w = g.variable("w", {2}, constant(1));
    const Tensor copy = g.variable("copy", {2}, constant(0), {.trainable = false});
    const Tensor cost = reduce_sum(w * w);
    std::vector<Tensor> parts;
    if (copy_first) parts.push_back(assign(copy, w));
    parts.push_back(GradientDescentOptimizer(0.25).minimize(cost, {.variables = {w}}));
    if (!copy_first) parts.push_back(assign(copy, w));
    Session session(g, backend_);
    session.run(group(parts));
    EXPECT_EQ(session.variables().read<float>("copy"), std::vector<float>(2, 1.0F));
    EXPECT_EQ(session.variables().read<float>("w"), std::vector<float>(2, 0.5F));
  }
}

// Sum, tanh and gradient could each take over the memory of the one before, down to the feed's; but
// feeds and gradients both have a place among their like.
TEST_P(SessionTest, AGradientDoesNotTakeOverAFeed) {
  Graph g;
  const Tensor x = g.placeholder("x", {2}), w = g.variable("w", {2}, constant(0));
  const Tensor step = GradientDescentOptimizer(1).minimize(reduce_sum(tanh(x + w)));
  Session session(g, backend_);
  session.run(step, {{x, std::vector<float>{0, 0.5F}}});
  const double tanh_half = std::tanh(0.5);
  EXPECT_TRUE(close(session.variables().read<float>("w"), {-1, tanh_half * tanh_half - 1}, 8));
}

TEST_P(SessionTest, AssignAddAccumulates) {
  Graph g;
  const Tensor x = g.placeholder("x", {2});
  const Tensor total = g.variable("total", {2}, constant(0), {.trainable = false});
  const Tensor step = assign_add(total, x);
  Session session(g, backend_);
  for (int run = 0; run < 4; ++run) session.run(step, {{x, std::vector<float>{1, 0.5F}}});
  EXPECT_EQ(session.variables().read<float>("total"), (std::vector<float>{4, 2}));
}

TEST_P(SessionTest, GraphsShareAStore) {
  const auto store = std::make_shared<VariableStore>(backend_, 7);
  Graph training, evaluation;
  const Tensor w = training.variable("w", {3}, uniform(-1, 1));
  const Tensor step = assign_add(w, training.constant(1, {3}));
  const Tensor y = evaluation.variable("w", {3}, uniform(-1, 1)) * 2;
  Session trainer(training, store), evaluator(evaluation, store);
  const std::vector<float> before = evaluator.evaluate(y);
  trainer.run(step);
  const std::vector<float> after = evaluator.evaluate(y);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(after[k], before[k] + 2, 2e-6);
  EXPECT_EQ(&trainer.variables(), store.get());
  EXPECT_EQ(store->names(), std::vector<std::string>{"w"});

  Graph wrong;
  wrong.variable("w", {4}, constant(0));
  EXPECT_THROW(Session(wrong, store), std::invalid_argument);
}

TEST_P(SessionTest, StoresCheckNamesSizesAndTypes) {
  Graph g;
  g.variable("w", {2, 2}, constant(3));
  Session session(g, backend_);
  VariableStore& store = session.variables();
  EXPECT_TRUE(store.contains("w"));
  EXPECT_FALSE(store.contains("v"));
  EXPECT_THROW(store.read<float>("v"), std::invalid_argument);
  EXPECT_THROW(store.view("v"), std::invalid_argument);
  EXPECT_THROW(store.write<float>("w", std::vector<float>(3)), std::invalid_argument);
  EXPECT_THROW(store.write<std::int32_t>("w", std::vector<std::int32_t>(4)), std::invalid_argument);
  EXPECT_THROW(store.read<std::int64_t>("w"), std::invalid_argument);
  EXPECT_EQ(store.view("w").shape, (Shape{2, 2}));
  const std::uint64_t version = *store.view("w").version;
  store.write<float>("w", std::vector<float>{1, 2, 3, 4});
  EXPECT_NE(*store.view("w").version, version);
  EXPECT_EQ(store.read<float>("w"), (std::vector<float>{1, 2, 3, 4}));
}

TEST_P(SessionTest, ValuesWrittenToTheStoreAreSeenByTheNextRun) {
  Graph g;
  const Tensor h = g.constant(1, {2, 3});
  const Tensor w = g.variable("w", {4, 3}, constant(0)), b = g.variable("b", {4}, constant(0));
  const Tensor targets = g.placeholder("targets", {2}, DType::kInt32);
  const Tensor loss = softmax_cross_entropy(h, {w, b}, targets).loss;
  Session session(g, backend_);
  const std::vector<std::int32_t> ids{0, 0};
  EXPECT_TRUE(close(session.evaluate(loss, {{targets, ids}}), {2 * std::log(4.0)}, 4));
  // The loss keeps its weight in a form of its own; it must notice the write. Class 0 gets a logit
  // of 30 over the others' 0: a loss of 2 ln(1 + 3 e^-30).
  std::vector<float> weights(12, 0.0F);
  std::fill(weights.begin(), weights.begin() + 3, 10.0F);
  session.variables().write<float>("w", weights);
  EXPECT_NEAR(session.evaluate(loss, {{targets, ids}})[0], 0, 1e-6);
}

/// All variables of a model after a few steps, by name.
std::map<std::string, std::vector<float>> train(const std::shared_ptr<Backend>& backend,
                                                std::uint64_t seed, bool tied = false,
                                                std::int64_t steps = kOpen) {
  LanguageModel model(steps, 0.3, tied);
  Session session(model.graph, backend, seed);
  for (int run = 0; run < 4; ++run) {
    const std::int64_t length = steps == kOpen ? 9 - run % 2 : steps;
    session.run(model.step, {{model.ids, LanguageModel::words(length, run)},
                             {model.targets, LanguageModel::words(length, run + 7)}});
  }
  std::map<std::string, std::vector<float>> values;
  for (const std::string& name : session.variables().names())
    if (session.variables().view(name).dtype == DType::kFloat32)
      values[name] = session.variables().read<float>(name);
  return values;
}

TEST_P(SessionTest, TheSameSeedGivesTheSameBits) {
  for (const bool tied : {false, true}) {
    const auto first = train(backend_, 1, tied), second = train(backend_, 1, tied),
               other = train(backend_, 2, tied);
    for (const auto& [name, values] : first)
      EXPECT_TRUE(identical(second.at(name), values)) << name;
    EXPECT_NE(other.at("encoder.weight"), first.at("encoder.weight"));
  }
}

TEST_P(SessionTest, ALanguageModelTrains) {
  for (const bool tied : {false, true}) {
    LanguageModel model(kOpen, 0.1, tied);
    Session session(model.graph, backend_, 1);
    const auto loss_at = [&](int run) {
      const std::vector<std::int32_t> ids = LanguageModel::words(10, run % 12),
                                      targets = LanguageModel::words(10, run % 12 + 7);
      const std::vector<Feed> feeds{{model.ids, ids}, {model.targets, targets}};
      session.run(std::vector<Tensor>{model.step, model.loss}, feeds);
      return session.read(model.loss)[0];
    };
    const float first = loss_at(0);
    EXPECT_NEAR(first, std::log(120.0), 0.1);
    float last = first;
    for (int run = 1; run < 150; ++run) last = loss_at(run);
    EXPECT_LT(last, 0.5F * first);
    EXPECT_EQ(session.variables().read<std::int64_t>(Optimizer::kCounters).front(), 150);
  }
}

TEST_P(SessionTest, ARepeatedStepNeitherAllocatesNorWaitsNorPlans) {
  const auto recorder = std::make_shared<RecordingBackend>(backend_);
  LanguageModel model(kOpen);
  Session session(model.graph, recorder, 1);
  const auto run = [&](int k, std::int64_t steps) {
    const std::vector<std::int32_t> ids = LanguageModel::words(steps, k),
                                    targets = LanguageModel::words(steps, k + 7);
    session.run(model.step, {{model.ids, ids}, {model.targets, targets}});
  };
  for (int k = 0; k < 3; ++k) run(k, 8);
  run(3, 5);
  run(4, 5);
  const int allocations = recorder->allocations, downloads = recorder->downloads,
            waits = recorder->waits, plans = recorder->plans;
  for (int k = 5; k < 10; ++k) run(k, k % 2 == 0 ? 8 : 5);
  EXPECT_EQ(recorder->allocations, allocations);
  EXPECT_EQ(recorder->downloads, downloads);
  EXPECT_EQ(recorder->waits, waits);
  EXPECT_EQ(recorder->plans, plans);
}

// Four threads with a session each add to one variable, 250 times each: no addition is lost.
TEST_P(SessionTest, ThreadsTakeTurnsWithAStore) {
  Graph graph;
  const Tensor v = graph.variable("v", {33}, constant(0)), one = graph.constant(1);
  const Tensor add = assign_add(v, one + v * 0);
  const auto store = std::make_shared<VariableStore>(backend_, 1);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      auto guard = store->lock();
      auto session = std::make_unique<Session>(graph, store);
      guard.unlock();
      for (int k = 0; k < 250; ++k) {
        guard.lock();
        session->run(add);
        const auto again = store->lock();  // a thread may hold it twice
        guard.unlock();
      }
      guard.lock();
      session.reset();
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store->read<float>("v"), std::vector<float>(33, 1000));
}

UNROLL_FOR_EACH_BACKEND(SessionTest);

// On the CPU the number of threads is not part of the result.
TEST(SessionThreads, AnyNumberOfThreadsGivesTheSameBits) {
  for (const bool tied : {false, true}) {
    const auto one = train(cpu(1), 1, tied);
    for (const int threads : {2, 3, 5}) {
      SCOPED_TRACE(threads);
      const auto many = train(cpu(threads), 1, tied);
      for (const auto& [name, values] : one) EXPECT_TRUE(identical(many.at(name), values)) << name;
    }
  }
}

/// Each for itself would fit.
TEST(SessionMemory, VariablesThatDoNotFitTogetherAreRefused) {
  constexpr std::int64_t kMillion = 1'000'000;
  Graph one, g;
  one.variable("a", {10 * kMillion}, constant(0));
  g.variable("a", {10 * kMillion}, constant(0));
  g.variable("b", {5 * kMillion}, constant(0));
  // 40 MB and 20, and the 40 that the larger one starts with.
  EXPECT_NO_THROW(Session(g, std::make_shared<SmallBackend>(100 * kMillion)));
  const auto store =
      std::make_shared<VariableStore>(std::make_shared<SmallBackend>(99 * kMillion), 1);
  EXPECT_EQ(error_of<std::runtime_error>([&] { Session(g, store); }),
            "out of memory: asked for 100.0 MB of variables, expected at most the 99.0 MB that are "
            "available on " +
                cpu(1)->name());
  EXPECT_FALSE(store->contains("a"));
  Session(one, store);
  EXPECT_NO_THROW(Session(g, store)) << "what is there already takes no more";
}

// A group of processes that has reached its limit is slowed down: a run in it goes on.
TEST(SessionMemory, LittleIsNotRefusedWhereNothingIsLeft) {
  Graph g;
  g.variable("a", {1000}, constant(0));
  EXPECT_NO_THROW(Session(g, std::make_shared<SmallBackend>(0)));
}

TEST(SessionThreads, TheBackendSaysWhatItIs) {
  EXPECT_NE(cpu(2)->name().find("cpu"), std::string::npos);
  EXPECT_NE(cpu(2)->name().find("2 threads"), std::string::npos) << cpu(2)->name();
}

}  // namespace
}  // namespace unroll::test
