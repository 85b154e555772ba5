/// cond() and while_loop(): where the host decides in the middle of a run.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/recording_backend.h"
#include "tests/support/temp_folder.h"
#include "unroll/gradients.h"
#include "unroll/layers.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

using Tensors = std::vector<Tensor>;

class DecisionTest : public OnEachBackend {
 protected:
  /// Feeds a bool.
  static Feed truth(Tensor predicate, bool value) {
    static constexpr bool kBoth[] = {false, true};
    return {predicate, std::span<const bool>(&kBoth[value ? 1 : 0], 1)};
  }
};

/// Counts the kernels of some kinds, and what a capture is asked for.
class CountingBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  int products = 0, captures = 0, downloads = 0, uploads = 0;

  void matmul(const Matmul& args) override {
    ++products;
    ForwardingBackend::matmul(args);
  }
  std::unique_ptr<Replay> capture(std::function<void()> work) override {
    ++captures;
    return ForwardingBackend::capture(std::move(work));
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    ++downloads;
    ForwardingBackend::download(host, device, bytes);
  }
};

TEST_P(DecisionTest, CondRunsTheChosenBranchAndItsGradient) {
  Graph graph;
  const Tensor p = graph.placeholder("p", {}, DType::kBool);
  const Tensor x = graph.placeholder("x", {kOpen, 2}), w = graph.placeholder("w", {2});
  const Tensor before = tanh(x);
  const Tensors out = cond(
      p,
      [&] {
        return Tensors{before * w, x};
      },
      [&] {
        return Tensors{x * x, before};
      });
  EXPECT_EQ(out[0].shape(), (Shape{kOpen, 2}));
  const Tensor after = out[0] * 3 + out[1];
  const Tensors slopes = dense_gradients(reduce_sum(after), {x, w});
  Session session(graph, backend_);
  const std::vector<float> xs{0.5F, -1, 2, 0.25F}, ws{3, -2};
  for (const bool value : {true, false, false, true}) {
    session.run(Tensors{after, slopes[0], slopes[1]},
                std::vector<Feed>{truth(p, value), {x, xs}, {w, ws}});
    std::vector<double> y, dx, dw{0, 0};
    for (std::size_t k = 0; k < xs.size(); ++k) {
      const double t = std::tanh(double(xs[k])), a = xs[k], weight = ws[k % 2];
      y.push_back(value ? 3 * t * weight + a : 3 * a * a + t);
      dx.push_back(value ? 3 * weight * (1 - t * t) + 1 : 6 * a + 1 - t * t);
      if (value) dw[k % 2] += 3 * t;
    }
    EXPECT_TRUE(close(session.read(after), y, 8, 4));
    EXPECT_TRUE(close(session.read(slopes[0]), dx, 16, 8));
    EXPECT_TRUE(close(session.read(slopes[1]), dw, 8, 4));
  }
}

// Three segments, one wait, and not a kernel of the other branch.
TEST_P(DecisionTest, CondIsSegmentsAroundADecision) {
  Graph graph;
  const Tensor p = graph.placeholder("p", {1}, DType::kBool);
  const Tensor x = graph.placeholder("x", {2, 2});
  const Tensor out = cond(
      p, [&] { return Tensors{matmul(x, matmul(x, x))}; }, [&] { return Tensors{x + 1}; })[0];
  const Tensor y = tanh(out);
  const auto backend = std::make_shared<CountingBackend>(backend_);
  Session session(graph, backend);
  const std::vector<float> xs{1, 2, 3, 4};
  session.prepare(Tensors{y}, std::vector<Feed>{truth(p, true), {x, xs}});
  EXPECT_EQ(backend->captures, 2 + 2);  // before it and after it; the branches
  session.run(y, {truth(p, true), {x, xs}});
  EXPECT_EQ(backend->products, 2);
  EXPECT_EQ(backend->downloads, 1);
  session.run(y, {truth(p, false), {x, xs}});
  EXPECT_EQ(backend->products, 2);
  EXPECT_EQ(backend->downloads, 2);
  EXPECT_EQ(backend->captures, 4);

  // Without a decision a graph is one segment, as ever.
  const auto plain = std::make_shared<CountingBackend>(backend_);
  Session other(graph, plain);
  other.run(tanh(x), {{x, xs}});
  EXPECT_EQ(plain->captures, 1);
  EXPECT_EQ(plain->downloads, 0);
}

// A predicate that the run itself computes, variables declared in a branch, and training.
TEST_P(DecisionTest, ABranchTrainsItsLayers) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {4, 3}), choice = graph.placeholder("choice", {});
  const auto layer = [&](const char* name) {
    return [x, name] { return Tensors{reduce_mean(dense(x, 2, name) * dense(x, 2, name))}; };
  };
  const Tensor cost = cond(greater(choice, 0), layer("one"), layer("other"))[0];
  EXPECT_EQ(graph.trainable_variables().size(), 4U);
  const Tensor step = GradientDescentOptimizer(0.5).minimize(cost);
  Session session(graph, backend_, 3);
  const std::vector<float> xs{1, 2, 3, -1, 0, 1, 2, -2, 1, 0.5F, 1, -1};
  const auto before = session.variables().read<float>("other.weight");
  const auto one = session.variables().read<float>("one.weight");
  std::vector<float> costs;
  for (int k = 0; k < 5; ++k) {
    session.run({step, cost}, {{x, xs}, {choice, std::vector<float>{1}}});
    costs.push_back(session.read(cost)[0]);
  }
  EXPECT_LT(costs.back(), costs.front());
  EXPECT_NE(session.variables().read<float>("one.weight"), one);
  EXPECT_EQ(session.variables().read<float>("other.weight"), before);
}

TEST_P(DecisionTest, RandomNumbersInABranchComeBackInItsGradient) {
  Graph graph;
  const Tensor p = graph.placeholder("p", {}, DType::kBool), x = graph.placeholder("x", {2, 64});
  const Tensor y = cond(
      p,
      [&] {
        return scan(
                   [](const Tensors&, const Tensors& e) -> ScanStep {
                     return {{}, {dropout(e[0], 0.5)}};
                   },
                   {}, {x})
            .outputs;
      },
      [&] {  // of three steps the first and the last
        const Tensor rows = scan(
                                [](const Tensors&, const Tensors& e) -> ScanStep {
                                  return {{}, {dropout(e[0], 0.5)}};
                                },
                                {}, {concat({x, slice(x, 0, 0, 1)}, 0)})
                                .outputs[0];
        return Tensors{concat({slice(rows, 0, 0, 1), slice(rows, 0, 2, 3)}, 0)};
      })[0];
  const Tensor slope = dense_gradients(reduce_sum(y), {x})[0];
  const std::vector<float> ones(128, 1);
  Session session(graph, backend_, 5);
  std::set<std::vector<float>> halves;
  for (int run = 0; run < 4; ++run) {
    session.run({y, slope}, {truth(p, run % 2 == 0), {x, ones}});
    const std::vector<float> seen = session.read(y);
    if (run % 2 == 0) {  // the other's first row is read twice
      EXPECT_TRUE(identical(seen, session.read(slope)));
    }
    halves.insert({seen.begin(), seen.begin() + 64});
    halves.insert({seen.begin() + 64, seen.end()});
  }
  EXPECT_EQ(halves.size(), 8U);
}

/// Newton's iterations towards the root of `a`; counts them.
Tensors newton(Tensor a, double steps) {
  return while_loop([&](const Tensors& s) { return less(s[1], steps); },
                    [&](const Tensors& s) {
                      return Tensors{(s[0] + a / s[0]) * 0.5, s[1] + 1};
                    },
                    {a, a.graph().constant(0)}, {.max_iterations = 20, .name = "newton"});
}

TEST_P(DecisionTest, WhileLoopRunsAsLongAsTheConditionHolds) {
  Graph graph;
  const Tensor a = graph.placeholder("a", {});
  const Tensors out = newton(a * 1, 6), none = newton(a, 0);
  Session session(graph, backend_);
  for (const float value : {2.0F, 9.0F, 2.0F}) {
    session.run({out[0], out[1], none[0]}, {{a, std::vector<float>{value}}});
    EXPECT_TRUE(close(session.read(out[0]), {std::sqrt(double(value))}, 4));
    EXPECT_EQ(session.read(out[1]), std::vector<float>{6});
    EXPECT_EQ(session.read(none[0]), std::vector<float>{value});
    session.run(out[0], {{a, std::vector<float>{value}}});  // a state that is not read
    EXPECT_TRUE(close(session.read(out[0]), {std::sqrt(double(value))}, 4));
  }
}

// A body reads what its states were before any of them changes.
TEST_P(DecisionTest, StatesOfALoopMayChangePlaces) {
  Graph graph;
  const Tensor a = graph.placeholder("a", {3}), b = graph.placeholder("b", {3});
  const Tensors out = while_loop([](const Tensors& s) { return less(s[2], 5); },
                                 [](const Tensors& s) {
                                   return Tensors{s[1], s[0], s[2] + 1, s[0] + s[1] * 2 + s[3]};
                                 },
                                 {a, b, graph.constant(0), a * 0}, {.max_iterations = 5});
  Session session(graph, backend_);
  const std::vector<float> as{1, 2, 3}, bs{10, 20, 30};
  const std::vector<Feed> feeds{{a, as}, {b, bs}};
  session.run(Tensors{out[0], out[1], out[3]}, feeds);
  EXPECT_EQ(session.read(out[0]), bs);
  EXPECT_EQ(session.read(out[1]), as);
  EXPECT_EQ(session.read(out[3]),
            (std::vector<float>{3 * 21 + 2 * 12, 3 * 42 + 2 * 24, 3 * 63 + 2 * 36}));
  session.run(Tensors{out[3]}, feeds);  // the others have no output
  EXPECT_EQ(session.read(out[3]),
            (std::vector<float>{3 * 21 + 2 * 12, 3 * 42 + 2 * 24, 3 * 63 + 2 * 36}));
}

TEST_P(DecisionTest, ALoopComputesEachIterationOnce) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {2, 2});
  const Tensors out = while_loop([](const Tensors& s) { return less(s[0], 3); },
                                 [](const Tensors& s) {
                                   return Tensors{s[0] + 1, matmul(s[1], s[1])};
                                 },
                                 {graph.constant(0), x}, {.max_iterations = 9});
  const auto backend = std::make_shared<CountingBackend>(backend_);
  Session session(graph, backend);
  const std::vector<float> xs{1, 1, 0, 1};
  session.prepare(Tensors{out[1]}, std::vector<Feed>{{x, xs}});
  backend->products = backend->downloads = 0;
  for (const int runs : {1, 2}) {
    session.run(out[1], {{x, xs}});
    // A GPU calls a kernel when it records it, or in a first run, which is not recorded.
    if (backend_->kind() == DeviceKind::kCpu) {
      EXPECT_EQ(backend->products, 3 * runs);
    }
    // The number of the run, and the condition four times.
    EXPECT_EQ(backend->downloads, 5 * runs);
  }
  EXPECT_EQ(session.read(out[1]), (std::vector<float>{1, 8, 0, 1}));
}

TEST_P(DecisionTest, ALoopThatDoesNotEndIsAnError) {
  Graph graph;
  const Tensor a = graph.placeholder("a", {}), v = graph.variable("v", {}, constant(1));
  const Tensor out = newton(a, 21)[0];
  const Tensor write = assign(v, out);
  Session session(graph, backend_);
  try {
    session.run(write, {{a, std::vector<float>{2}}});
    FAIL() << "the loop ended";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "while_loop 'newton': the condition still holds after 20 iterations, expected an "
                 "end by then");
  }
  EXPECT_EQ(session.variables().read<float>("v"), std::vector<float>{1});
  EXPECT_EQ(session.step(), 0);
  const Tensor good = newton(a, 20)[1];  // as many as there may be
  session.run(good, {{a, std::vector<float>{2}}});
  EXPECT_EQ(session.read(good), std::vector<float>{20});
}

TEST_P(DecisionTest, LoopsAndBranchesMayBeInEachOther) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {3}), p = graph.placeholder("p", {1}, DType::kBool);
  const Tensor one = graph.constant(1), zero = graph.constant(0);
  // Adds 1 six times in an inner loop, in each of four rounds; p makes it 2.
  const Tensors out =
      while_loop([&](const Tensors& s) { return less(s[0], 4); },
                 [&](const Tensors& s) {
                   const Tensor sum = while_loop([&](const Tensors& t) { return less(t[0], 6); },
                                                 [&](const Tensors& t) {
                                                   const Tensor more = cond(
                                                       p, [&] { return Tensors{t[1] + 2}; },
                                                       [&] { return Tensors{t[1] + one}; })[0];
                                                   return Tensors{t[0] + 1, more};
                                                 },
                                                 {zero, s[1]}, {.max_iterations = 6})[1];
                   const Tensor steps = scan(
                                            [](const Tensors& t, const Tensors& e) -> ScanStep {
                                              return {{t[0] + e[0]}, {}};
                                            },
                                            {zero}, {x})
                                            .states[0];
                   return Tensors{s[0] + 1, sum + steps};
                 },
                 {zero, zero}, {.max_iterations = 4});
  Session session(graph, backend_);
  const std::vector<float> xs{100, 200, 300};
  for (const bool value : {false, true, false}) {
    session.run(out[1], {truth(p, value), {x, xs}});
    EXPECT_EQ(session.read(out[1]), std::vector<float>{4 * 600 + 4 * 6 * (value ? 2.0F : 1.0F)});
  }
}

// One pass of the loop per number, and a scan inside: all draw their own.
TEST_P(DecisionTest, RandomNumbersDifferFromIterationToIteration) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {2, 64});
  const Tensor zero = graph.constant(0);
  const Tensors out = while_loop([&](const Tensors& s) { return less(s[0], 3); },
                                 [&](const Tensors& s) {
                                   const Tensor rows =
                                       scan(
                                           [](const Tensors&, const Tensors& e) -> ScanStep {
                                             return {{}, {dropout(e[0], 0.5)}};
                                           },
                                           {}, {x})
                                           .outputs[0];
                                   return Tensors{s[0] + 1, s[2], s[3], dropout(rows, 0.5) + rows};
                                 },
                                 {zero, x, x, x}, {.max_iterations = 3});
  Session session(graph, backend_, 5);
  const std::vector<float> ones(128, 1);
  session.run({out[1], out[2], out[3]}, {{x, ones}});
  std::set<std::vector<float>> rows;
  for (const int k : {1, 2, 3}) {
    const std::vector<float> all = session.read(out[std::size_t(k)]);
    rows.insert({all.begin(), all.begin() + 64});
    rows.insert({all.begin() + 64, all.end()});
  }
  EXPECT_EQ(rows.size(), 6U);
}

// A recurrent node keeps its weights in a form of its own, which a new value has to renew.
TEST_P(DecisionTest, WeightsThatADeviceKeepsAreRenewed) {
  Graph graph;
  const RecurrentSpec spec{.cell = CellKind::kRnnTanh, .hidden = {3}};
  const auto weights = recurrent_weights(graph, spec, 2);
  const Tensor x = graph.placeholder("x", {4, 1, 2}), p = graph.placeholder("p", {}, DType::kBool);
  const auto node = [&] { return recurrent(spec, {.x = x, .weights = weights}).y; };
  const Tensor plain = node();
  const Tensor chosen = cond(
      p, [&] { return Tensors{node()}; }, [&] { return Tensors{node()}; })[0];
  const Tensor looped = while_loop([&](const Tensors& s) { return less(s[0], 1); },
                                   [&](const Tensors& s) {
                                     return Tensors{s[0] + 1, node()};
                                   },
                                   {graph.constant(0), plain * 0}, {.max_iterations = 1})[1];
  const Tensor scanned = scan(
                             [&](const Tensors&, const Tensors&) -> ScanStep {
                               return {{}, {node()}};
                             },
                             {}, {graph.constant(0, {1})})
                             .outputs[0];
  Session session(graph, backend_, 3);
  const std::vector<float> xs{1, 2, -1, 0.5F, 0, 1, 1, 1};
  std::vector<float> last;
  for (const float value : {0.5F, -0.25F, 0.75F, -0.5F}) {
    const std::vector<float> values(6, value);
    session.variables().write<float>("rnn.weight_ih_l0", values);
    session.run({plain, chosen, looped, scanned}, {{x, xs}, truth(p, value > 0)});
    const std::vector<float> expected = session.read(plain);
    EXPECT_NE(expected, last);
    EXPECT_TRUE(identical(session.read(chosen), expected));
    EXPECT_TRUE(identical(session.read(looped), expected));
    EXPECT_TRUE(identical(session.read(scanned), expected));
    last = expected;
  }
}

/// Counts how often a recurrent node brings its form of the weights up to date.
class CountingPlan final : public RecurrentPlan {
 public:
  CountingPlan(std::unique_ptr<RecurrentPlan> inner, int& prepared)
      : inner_(std::move(inner)), prepared_(prepared) {}
  std::string algorithm() const override { return inner_->algorithm(); }
  std::size_t reserve_bytes() const override { return inner_->reserve_bytes(); }
  std::size_t scratch_bytes() const override { return inner_->scratch_bytes(); }
  void prepare(std::span<const RecurrentWeights> weights) override {
    ++prepared_;
    inner_->prepare(weights);
  }
  void forward(const RecurrentForward& args) override { inner_->forward(args); }
  void backward(const RecurrentBackward& args) override { inner_->backward(args); }

 private:
  std::unique_ptr<RecurrentPlan> inner_;
  int& prepared_;
};

class PreparingBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  int prepared = 0;
  std::unique_ptr<RecurrentPlan> recurrent_plan(const RecurrentArgs& args) override {
    return std::make_unique<CountingPlan>(ForwardingBackend::recurrent_plan(args), prepared);
  }
};

// A body knows that what it reads are variables, and when they have changed.
TEST_P(DecisionTest, WeightsThatADeviceKeepsAreRenewedOnlyWhenTheyChange) {
  Graph graph;
  const RecurrentSpec spec{.cell = CellKind::kRnnTanh, .hidden = {3}};
  const auto weights = recurrent_weights(graph, spec, 2);
  const Tensor x = graph.placeholder("x", {4, 1, 2});
  const Tensor y = scan(
                       [&](const Tensors&, const Tensors&) -> ScanStep {
                         return {{}, {recurrent(spec, {.x = x, .weights = weights}).y}};
                       },
                       {}, {graph.constant(0, {5})})
                       .outputs[0];
  const auto backend = std::make_shared<PreparingBackend>(backend_);
  Session session(graph, backend, 3);
  const std::vector<float> xs{1, 2, -1, 0.5F, 0, 1, 1, 1}, values(6, 0.5F);
  for (int run = 0; run < 3; ++run) session.run(y, {{x, xs}});
  EXPECT_EQ(backend->prepared, 1);
  session.variables().write<float>("rnn.weight_ih_l0", values);
  for (int run = 0; run < 3; ++run) session.run(y, {{x, xs}});
  EXPECT_EQ(backend->prepared, 2);
}

UNROLL_FOR_EACH_BACKEND(DecisionTest);

TEST(Decisions, RefuseWhatDoesNotFit) {
  Graph g;
  const Tensor p = g.placeholder("p", {}, DType::kBool), x = g.placeholder("x", {3});
  const Tensor v = g.variable("v", {3}, constant(0));
  const auto give = [](const Tensors& tensors) { return [tensors] { return tensors; }; };
  const auto branches = [&](Tensor predicate, const Tensors& then, const Tensors& otherwise) {
    return error_of<std::exception>(
        [&] { cond(predicate, give(then), give(otherwise), "branch"); });
  };
  EXPECT_EQ(branches(x, {x}, {x}),
            "cond: got the predicate float32 [3], expected bool with one element");
  EXPECT_EQ(branches(g.placeholder("many", {2}, DType::kBool), {x}, {x}),
            "cond: got the predicate bool [2], expected bool with one element");
  EXPECT_EQ(branches(Tensor(), {x}, {x}), "cond 'branch': an input is an empty tensor");
  EXPECT_EQ(branches(p, {x}, {slice(x, 0, 0, 2)}),
            "cond: got from the second branch result 0 float32 [2], expected float32 [3]");
  EXPECT_EQ(branches(p, {x}, {p}),
            "cond: got from the second branch result 0 bool [], expected float32 [3]");
  EXPECT_EQ(branches(p, {x}, {x, x}),
            "cond 'branch': got 1 and 2 results from the branches, expected as many, 1 or more");
  EXPECT_EQ(error_of<std::exception>([&] {
              cond(
                  p, [&] { return Tensors{assign(v, x)}; }, give({x}));
            }),
            "cond 'cond': got assign 'assign' in its body, expected nothing that writes to a "
            "variable");

  const auto hold = [&](const Tensors&) { return p; };
  const auto stay = [](const Tensors& s) { return s; };
  EXPECT_EQ(error_of<std::exception>([&] { while_loop(hold, stay, {x}, {}); }),
            "while_loop 'while_loop': got max_iterations 0, expected 1 or more");
  EXPECT_EQ(error_of<std::exception>([&] { while_loop(hold, stay, {}, {.max_iterations = 1}); }),
            "while_loop 'while_loop': got no state, expected one or more");
  EXPECT_EQ(error_of<std::exception>([&] {
              while_loop([](const Tensors& s) { return s[0]; }, stay, {x}, {.max_iterations = 1});
            }),
            "while_loop: got the condition float32 [3], expected bool with one element");
  EXPECT_EQ(error_of<std::exception>([&] {
              while_loop(hold, [](const Tensors&) { return Tensors{}; }, {x},
                         {.max_iterations = 1});
            }),
            "while_loop 'while_loop': got 0 states from the body, expected 1 as at the beginning");
  EXPECT_EQ(error_of<std::exception>([&] {
              while_loop(hold, [&](const Tensors&) { return Tensors{p}; }, {x},
                         {.max_iterations = 1});
            }),
            "while_loop: got from the body state 0 bool [], expected float32 [3]");
  const Tensor loop = while_loop(hold, stay, {x}, {.max_iterations = 1, .name = "loop"})[0];
  EXPECT_EQ(error_of<std::exception>([&] { gradients(reduce_sum(loop), {x}); }),
            "while_loop 'loop': has no gradient; a loop over a known number of steps has one as "
            "scan()");
  EXPECT_EQ(error_of<std::exception>([&] {
              scan(
                  [&](const Tensors&, const Tensors& e) -> ScanStep {
                    return {{}, cond(p, give({e[0]}), give({e[0]}))};
                  },
                  {}, {x});
            }),
            "scan 'scan': got cond 'cond' in its body, expected nothing that the host decides");
  EXPECT_EQ(&tanh(x).graph(), &g);
}

TEST_P(DecisionTest, GradientsFlowThroughFloat64) {
  Graph g;
  const Tensor p = g.placeholder("p", {}, DType::kBool), w = g.placeholder("w", {});
  const Tensor wide = cast(w, DType::kFloat64);
  const Tensor chosen = cond(
      p, [&] { return Tensors{wide * wide * wide}; }, [&] { return Tensors{wide}; })[0];
  const ScanResult sum = scan(
      [&](const Tensors& s, const Tensors& e) {
        return ScanStep{{s[0] + cast(e[0], DType::kFloat64) * wide}, {}};
      },
      {g.constant(0, {}, DType::kFloat64)}, {g.constant(2, {5})});
  const Tensor cost = cast(chosen + sum.states[0], DType::kFloat32);
  const Tensor slope = dense_gradients(cost, {w})[0];
  Session session(g, backend_);
  const bool yes = true, no = false;
  const std::vector<float> three{3};
  EXPECT_EQ(session.evaluate(slope, {{p, std::span(&yes, 1)}, {w, three}})[0], 27 + 10);
  EXPECT_EQ(session.evaluate(slope, {{p, std::span(&no, 1)}, {w, three}})[0], 1 + 10);
}

// The node keeps its reserve in the plan that runs it.
TEST(Decisions, HoldNoGradientOfARecurrentNodeOutside) {
  Graph g;
  const RecurrentSpec spec{.hidden = {2}};
  const std::vector<CellWeights> weights = recurrent_weights(g, spec, 3);
  const Tensor x = g.placeholder("x", {2, 1, 3}), p = g.placeholder("p", {}, DType::kBool);
  const Tensor cost = reduce_sum(recurrent(spec, {.x = x, .weights = weights}).y);
  EXPECT_THROW(
      cond(
          p, [&] { return Tensors{dense_gradients(cost, {x})[0]}; }, [&] { return Tensors{x}; }),
      std::invalid_argument);
  EXPECT_EQ(dense_gradients(cost, {x})[0].shape(), x.shape());
}

TEST(Decisions, AreDescribedWithTheirBodies) {
  Graph g;
  const Tensor p = g.placeholder("p", {}, DType::kBool), x = g.placeholder("x", {3});
  cond(
      p, [&] { return Tensors{tanh(x)}; }, [&] { return Tensors{x}; });
  while_loop([&](const Tensors&) { return p; }, [](const Tensors& s) { return s; }, {x},
             {.max_iterations = 7});
  EXPECT_EQ(g.describe(), R"(p = placeholder -> bool []
x = placeholder -> float32 [3]
cond = cond(p, x, x) -> float32 [3]
  then:
    x = placeholder -> float32 [3]
    tanh = tanh(x) -> float32 [3]
  otherwise:
    x = placeholder -> float32 [3]
while_loop = while_loop(x, p) {states: 1, max_iterations: 7} -> float32 [3]
  condition:
    state = placeholder -> float32 [3]
    p = placeholder -> bool []
  body:
    state = placeholder -> float32 [3]
)");
}

}  // namespace
}  // namespace unroll::test
