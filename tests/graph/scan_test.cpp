/// scan(): a loop over sequences as one node, against the reference, against unrolled(), and what
/// its body may hold.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/recurrent_case.h"
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

class ScanTest : public OnEachBackend {};

std::vector<float> ramp(std::size_t size, float low, float high) {
  std::vector<float> values(size);
  for (std::size_t k = 0; k < size; ++k)
    values[k] = low + (high - low) * float((k * 7919) % 101) / 100;
  return values;
}

/// h' = tanh(h + x w), y = h h': the output reads the state before the step, too.
Tensor own_cell(const Tensors& x) {
  const ScanResult out = scan(
      [&](const Tensors& states, const Tensors& elements) -> ScanStep {
        const Tensor h = tanh(states[0] + elements[0] * x[2]);
        return {{h}, {h * states[0]}};
      },
      {x[1]}, {x[0]});
  return out.outputs[0] + out.states[0];  // [T, N, H] + [N, H]
}

ComplexArray own_cell_reference(const std::vector<ComplexArray>& x) {
  ComplexArray y(x[0].dims), h = x[1];
  const std::size_t row = h.values.size(), width = x[2].values.size();
  for (std::size_t k = 0; k < y.values.size(); ++k) {
    Complex& state = h.values[k % row];
    const Complex next = std::tanh(state + x[0].values[k] * x[2].values[k % width]);
    y.values[k] = state * next;
    state = next;
  }
  for (std::size_t k = 0; k < y.values.size(); ++k) y.values[k] += h.values[k % row];
  return y;
}

TEST_P(ScanTest, MatchesTheReference) {
  for (const std::int64_t steps : {1, 2, 31, 33})
    for (const std::int64_t batch : {1, 31, 33}) {
      // The state's error is damped by tanh, and grows at most with T; the gradient of w sums T N
      // products, effectively the root of their number.
      const double ulps = 8 + double(steps);
      check_graph_case({.name = "T=" + std::to_string(steps) + " N=" + std::to_string(batch),
                        .operands = {{{steps, batch, 3}, -1, 1}, {{batch, 3}, -1, 1}, {{3}, -1, 1}},
                        .build = own_cell,
                        .reference = own_cell_reference,
                        .ulps = ulps,
                        .gradient_ulps = 4 * ulps + double(batch)},
                       backend_);
    }
}

/// The values of `fetches` for x [T, N, I], with variables from one seed.
std::vector<std::vector<float>> values_of(Graph& graph, const std::shared_ptr<Backend>& backend,
                                          const Tensors& fetches, const Feed& x) {
  Session session(graph, backend, 3);
  const std::vector<Feed> feeds{x};
  session.run(fetches, feeds);
  std::vector<std::vector<float>> values;
  for (const Tensor& fetch : fetches) values.push_back(session.read(fetch));
  return values;
}

std::vector<double> wide(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// The unrolled form is the special case: equal kernels on equal operands in equal order.
TEST_P(ScanTest, EqualsTheUnrolledCellAndTheRecurrentNode) {
  for (const std::int64_t steps : {1, 2, 31, 33})
    for (const std::int64_t batch : {1, 31, 33}) {
      SCOPED_TRACE(steps);
      SCOPED_TRACE(batch);
      constexpr std::int64_t kInput = 3, kUnits = 5;
      RecurrentCase c = recurrent_shape({kUnits}, 1, steps, batch, kInput, false);
      c.spec.cell = CellKind::kLstm;
      const std::vector<float> x = ramp(std::size_t(steps * batch * kInput), -1, 1);
      std::vector<std::vector<std::vector<float>>> results;
      for (const int form : {0, 1, 2}) {
        Graph graph;
        const Tensor in = graph.placeholder("x", {steps, batch, kInput});
        const auto weights = recurrent_weights(graph, c.spec, kInput);
        Tensor y, last;
        if (form == 2) {
          const RecurrentResult out = recurrent(c.spec, {.x = in, .weights = weights});
          y = out.y;
          last = reshape(out.c_n[0], {batch, kUnits});
        } else {
          const Tensor zero = graph.constant(0, {batch, kUnits});
          const Cell lstm = cell(c.spec, weights[0]);
          const Unrolled out =
              form == 0 ? scanned(lstm, in, {zero, zero}) : unrolled(lstm, in, {zero, zero});
          y = out.y;
          last = out.state[1];
        }
        Tensors fetches{y, last}, xs = graph.trainable_variables();
        xs.push_back(in);
        for (const Tensor& slope : dense_gradients(reduce_sum(y * y) + reduce_sum(last), xs))
          fetches.push_back(slope);
        results.push_back(values_of(graph, backend_, fetches, {in, x}));
      }
      for (std::size_t k = 0; k < results[0].size(); ++k) {
        SCOPED_TRACE(k);
        // Both sides err, and the loss is twice as steep as the one that the bound is for.
        const double ulps = k < 2 ? 2 * recurrent_ulps(c) : 4 * recurrent_gradient_ulps(c);
        if (k < 2) {
          EXPECT_TRUE(identical(results[0][k], results[1][k]));
        }
        EXPECT_TRUE(close(results[0][k], wide(results[1][k]), ulps));
        EXPECT_TRUE(close(results[0][k], wide(results[2][k]), ulps));
      }
    }
}

TEST_P(ScanTest, TheNumberOfStepsMayBeOpen) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kOpen, kOpen, 2});
  const Tensor h = graph.placeholder("h", {kOpen, 2});
  const ScanResult out = scan(
      [](const Tensors& states, const Tensors& elements) -> ScanStep {
        return {{states[0] + elements[0]}, {states[0]}};
      },
      {h}, {x});
  EXPECT_EQ(out.outputs[0].shape(), (Shape{kOpen, kOpen, 2}));
  const Tensor slope = dense_gradients(reduce_sum(out.outputs[0]), {x})[0];
  Session session(graph, backend_);
  for (const std::int64_t steps : {3, 1, 33, 3}) {
    const std::vector<float> ones(std::size_t(steps) * 2, 1), zero(2);
    session.run({out.states[0], out.outputs[0], slope},
                {{x, std::span(ones), {steps, 1, 2}}, {h, std::span(zero), {1, 2}}});
    EXPECT_EQ(session.read(out.states[0]), std::vector<float>(2, float(steps)));
    EXPECT_EQ(session.shape(out.outputs[0]), (Shape{steps, 1, 2}));
    const std::vector<float> states = session.read(out.outputs[0]), slopes = session.read(slope);
    for (std::int64_t t = 0; t < steps; ++t) {
      EXPECT_EQ(states[std::size_t(2 * t)], float(t));
      EXPECT_EQ(slopes[std::size_t(2 * t)], float(steps - 1 - t));  // x_t is in all later states
    }
  }
}

// What a body gives back may be what came in, and one tensor may come back in several places.
TEST_P(ScanTest, ResultsMayShareTensors) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {4, 3}), outside = graph.placeholder("outside", {3});
  const Tensor one = graph.constant(1, {3}), two = graph.constant(2, {3});
  const ScanResult out = scan(
      [&](const Tensors& s, const Tensors& e) -> ScanStep {
        const Tensor sum = s[2] + e[0];
        return {
            {s[1], s[0], sum, e[0]},
            {s[0], e[0], outside, sum, sum, reshape(sum, {3, 1}), graph.constant(7, {2}), s[3]}};
      },
      {one, two, one, two}, {x});
  const std::vector<float> in{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, beside{-1, -2, -3};
  Tensors fetches = out.states;
  fetches.insert(fetches.end(), out.outputs.begin(), out.outputs.end());
  Session session(graph, backend_);
  for (const bool all : {true, false}) {
    const Tensors some = all ? fetches : Tensors{out.states[2], out.outputs[0], out.outputs[2]};
    session.run(some, std::vector<Feed>{{x, in}, {outside, beside}});
    for (const Tensor& tensor : some) {
      const auto which = std::size_t(std::ranges::find(fetches, tensor) - fetches.begin());
      const std::vector<std::vector<float>> expected{
          {1, 1, 1},
          {2, 2, 2},
          {23, 27, 31},
          {10, 11, 12},
          {1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2},
          in,
          {-1, -2, -3, -1, -2, -3, -1, -2, -3, -1, -2, -3},
          {2, 3, 4, 6, 8, 10, 13, 16, 19, 23, 27, 31},
          {2, 3, 4, 6, 8, 10, 13, 16, 19, 23, 27, 31},
          {2, 3, 4, 6, 8, 10, 13, 16, 19, 23, 27, 31},
          {7, 7, 7, 7, 7, 7, 7, 7},
          {2, 2, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9}};
      EXPECT_EQ(session.read(tensor), expected[which]) << which;
    }
  }
}

// The input is 1, so the gradient of a sum of outputs is the mask, as the outputs are: it shows
// that the gradient drew what the step had drawn.
TEST_P(ScanTest, RandomNumbersDifferFromStepToStepAndComeBackInTheGradient) {
  constexpr std::int64_t kSteps = 33, kUnits = 64;
  Graph graph;
  const Tensor x = graph.placeholder("x", {kSteps, kUnits});
  const Tensor zero = graph.constant(0, {kUnits});
  const ScanResult out = scan(
      [](const Tensors& states, const Tensors& elements) -> ScanStep {
        const Tensor y = dropout(elements[0], 0.5, "noise");
        return {{states[0] + y}, {y}};
      },
      {zero}, {x}, "masks");
  const Tensor outside = dropout(x, 0.5);
  const Tensor slope = dense_gradients(reduce_sum(out.outputs[0]), {x})[0];
  const std::vector<float> ones(std::size_t(kSteps * kUnits), 1);
  std::set<std::vector<float>> rows;
  Session session(graph, backend_, 5);
  std::vector<std::vector<float>> runs;
  for (const std::int64_t step : {0, 1, 0}) {
    session.set_step(step);
    session.run({out.outputs[0], slope, outside, out.states[0]}, {{x, ones}});
    runs.push_back(session.read(out.outputs[0]));
    EXPECT_TRUE(identical(runs.back(), session.read(slope)));
    EXPECT_EQ(std::ranges::count(runs.back(), 0.0F) > kSteps * kUnits * 4 / 10, true);
    const std::vector<float> other = session.read(outside);
    for (std::size_t t = 0; t < kSteps; ++t) {
      const auto begin = std::ptrdiff_t(t * kUnits), end = begin + kUnits;
      rows.insert({runs.back().begin() + begin, runs.back().begin() + end});
      rows.insert({other.begin() + begin, other.begin() + end});
    }
  }
  EXPECT_EQ(runs[0], runs[2]);
  // Two steps that differ, in the scan and outside: 64 independent halves are never equal.
  EXPECT_EQ(rows.size(), std::size_t(2 * 2 * kSteps));
}

TEST_P(ScanTest, NestedScansDrawTheirOwnNumbers) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {3, 4, 32});
  const Tensor weight = graph.placeholder("weight", {32});
  const Tensor zero = graph.constant(0, {32});
  const ScanResult out = scan(
      [&](const Tensors& outer, const Tensors& rows) -> ScanStep {
        const ScanResult inner = scan(
            [&](const Tensors& states, const Tensors& elements) -> ScanStep {
              const Tensor y = dropout(elements[0] * weight, 0.5);
              return {{states[0] + y}, {y}};
            },
            outer, rows);
        return {inner.states, inner.outputs};
      },
      {zero}, {x});
  const Tensors slopes = dense_gradients(reduce_sum(out.states[0]), {x, weight});
  const std::vector<float> ones(3 * 4 * 32, 1), w(32, 1);
  Session session(graph, backend_, 5);
  session.run({out.outputs[0], slopes[0], slopes[1], out.states[0]}, {{x, ones}, {weight, w}});
  const std::vector<float> y = session.read(out.outputs[0]);
  EXPECT_TRUE(identical(y, session.read(slopes[0])));
  EXPECT_EQ(session.read(slopes[1]), session.read(out.states[0]));  // sums of the masks
  std::set<std::vector<float>> rows;
  for (int t = 0; t < 12; ++t) rows.insert({y.begin() + t * 32, y.begin() + (t + 1) * 32});
  EXPECT_EQ(rows.size(), 12U);
}

// What an inner scan reads from outside moves with the steps of the outer one.
TEST_P(ScanTest, AnInnerScanReadsTheOuterStep) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {4, 3}), counts = graph.constant(1, {5});
  const ScanResult out = scan(
      [&](const Tensors& outer, const Tensors& rows) -> ScanStep {
        const Tensor sum = scan(
                               [&](const Tensors& s, const Tensors& e) -> ScanStep {
                                 return {{s[0] + e[0] * rows[0] * outer[0]}, {}};
                               },
                               {rows[0] * 0}, {counts})
                               .states[0];
        return {{outer[0] + 1}, {sum}};
      },
      {graph.constant(1)}, {x});
  const Tensor slope = dense_gradients(reduce_sum(out.outputs[0]), {x})[0];
  Session session(graph, backend_);
  const std::vector<float> in{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  session.run({out.outputs[0], slope}, {{x, in}});
  const std::vector<float> y = session.read(out.outputs[0]), dx = session.read(slope);
  for (std::size_t k = 0; k < in.size(); ++k) {
    const auto times = float(5 * (k / 3 + 1));
    EXPECT_EQ(y[k], times * in[k]) << k;
    EXPECT_EQ(dx[k], times) << k;
  }
}

/// Trains a network whose cell has layers, an embedding of ids, and a recurrent node in it, which
/// keeps its weights in a form of its own.
std::vector<std::vector<float>> trained(const std::shared_ptr<Backend>& backend, bool as_scan) {
  constexpr std::int64_t kSteps = 5, kBatch = 3, kUnits = 4;
  Graph graph;
  const Tensor ids = graph.placeholder("ids", {kSteps, kBatch}, DType::kInt32);
  const Tensor table = graph.variable("table", {7, kUnits}, uniform(-1, 1));
  const RecurrentSpec spec{.cell = CellKind::kGru, .hidden = {kUnits}};
  const auto weights = recurrent_weights(graph, spec, kUnits);
  const Cell own = [&](Tensor in, const CellState& state) {
    const Tensor x = dense(as_scan ? embedding(table, in) : in, kUnits, "layer");
    const Tensor twice =
        concat({reshape(x, {1, kBatch, kUnits}), reshape(x * 0.5, {1, kBatch, kUnits})}, 0);
    const RecurrentResult out = recurrent(
        spec, {.x = twice, .h0 = {reshape(state[0], {1, kBatch, kUnits})}, .weights = weights});
    const Tensor h = tanh(reshape(out.h_n[0], {kBatch, kUnits}) + x);
    return std::pair<Tensor, CellState>(h * h, {h});
  };
  const Tensor zero = graph.constant(0, {kBatch, kUnits});
  const Unrolled out =
      as_scan ? scanned(own, ids, {zero}) : unrolled(own, embedding(table, ids), {zero});
  const Tensor cost = reduce_mean(out.y) + reduce_sum(out.state[0]) * 0.1;
  const Tensor step = Optimizer({.kind = OptimizerKind::kAdam, .clip_norm = 1}, 0.1).minimize(cost);
  Session session(graph, backend, 7);
  const std::vector<std::int32_t> words{0, 1, 2, 3, 4, 5, 6, 0, 0, 1, 3, 1, 5, 2, 6};
  std::vector<std::vector<float>> seen(1);
  for (int k = 0; k < 6; ++k) {
    session.run({step, cost}, {{ids, words}});
    seen[0].push_back(session.read(cost)[0]);
  }
  for (const std::string& name : session.variables().names())
    if (!name.starts_with("optimizer/")) seen.push_back(session.variables().read<float>(name));
  return seen;
}

TEST_P(ScanTest, ACellWithLayersTrainsAsItDoesUnrolled) {
  const auto scan = trained(backend_, true), reference = trained(backend_, false);
  ASSERT_EQ(scan.size(), reference.size());
  EXPECT_EQ(scan.size(), 1U + 1U + 4U + 2U);
  EXPECT_LT(scan[0].back(), scan[0].front() - 0.1F);
  // Six steps of Adam move a weight by 0.6 at most. It divides a gradient by its own size, so the
  // rounding errors of gradients, some 1e-6, come through undamped; a wrong gradient does not.
  for (std::size_t k = 0; k < scan.size(); ++k)
    EXPECT_TRUE(close(scan[k], wide(reference[k]), 8192)) << k;
}

TEST_P(ScanTest, AnEmbeddingsGradientStaysSparse) {
  Graph graph;
  const Tensor table = graph.variable("table", {5, 2}, uniform(-1, 1));
  const Tensor ids = graph.placeholder("ids", {kOpen, 3}, DType::kInt32);
  const ScanResult out = scan(
      [&](const Tensors&, const Tensors& e) -> ScanStep {
        return {{}, {embedding(table, e[0]) * 2}};
      },
      {}, {ids});
  const Tensor cost = reduce_sum(out.outputs[0]);
  EXPECT_TRUE(gradients(cost, {table})[0].is_sparse());
  const Tensor dense = dense_gradients(cost, {table})[0];
  Session session(graph, backend_);
  session.run(dense, {{ids, std::vector<std::int32_t>{0, 1, 1, 4, 1, 0}}});
  EXPECT_EQ(session.read(dense), (std::vector<float>{4, 4, 6, 6, 0, 0, 0, 0, 2, 2}));
}

// h_T = h_0 x_1 ... x_T. The case differentiates once more what is a gradient already: of w sum of
// dh_T / dx_t, which is a product without one factor.
TEST_P(ScanTest, HasASecondGradient) {
  const auto product = [](const Tensors& x) {
    return scan(
               [](const Tensors& s, const Tensors& e) -> ScanStep {
                 return {{s[0] * e[0]}, {}};
               },
               {x[1]}, {x[0]})
        .states[0];
  };
  check_graph_case(
      {.name = "product",
       .operands = {{{5, 1}, 0.5, 1.5}, {{1}, 0.5, 1.5}},
       .build = [&](const Tensors& x) { return dense_gradients(product(x), {x[0]})[0]; },
       .reference =
           [](const std::vector<ComplexArray>& x) {
             ComplexArray slope({5, 1});
             for (std::size_t t = 0; t < 5; ++t) {
               slope.values[t] = x[1].values[0];
               for (std::size_t s = 0; s < 5; ++s)
                 if (s != t) slope.values[t] *= x[0].values[s];
             }
             return slope;
           },
       .ulps = 8,
       .scale = 4,
       .gradient_ulps = 64,  // sums of five such products, each below 1.5^5
       .gradient_scale = 4},
      backend_);
}

TEST_P(ScanTest, StatesOfIntegersPassThrough) {
  Graph graph;
  const Tensor ids = graph.placeholder("ids", {3, 2}, DType::kInt32);
  const Tensor first = graph.placeholder("first", {2}, DType::kInt32);
  const Tensor table = graph.variable("table", {9, 1}, constant(1));
  const ScanResult out = scan(
      [&](const Tensors& s, const Tensors& e) -> ScanStep {
        return {{e[0]}, {s[0], embedding(table, s[0])}};
      },
      {first}, {ids});
  const Tensor slope = dense_gradients(reduce_sum(out.outputs[1]), {table})[0];
  Session session(graph, backend_);
  const std::vector<std::int32_t> in{1, 2, 3, 4, 5, 6}, before{7, 8};
  session.run({out.states[0], out.outputs[0], slope}, {{ids, in}, {first, before}});
  EXPECT_EQ(session.read<std::int32_t>(out.states[0]), (std::vector<std::int32_t>{5, 6}));
  EXPECT_EQ(session.read<std::int32_t>(out.outputs[0]),
            (std::vector<std::int32_t>{7, 8, 1, 2, 3, 4}));
  EXPECT_EQ(session.read(slope), (std::vector<float>{0, 1, 1, 1, 1, 0, 0, 1, 1}));
}

UNROLL_FOR_EACH_BACKEND(ScanTest);

TEST(Scan, GivesTheSameBitsForAnyNumberOfThreads) {
  const auto one = trained(cpu(1), true);
  for (const int threads : {2, 7}) {
    const auto more = trained(cpu(threads), true);
    for (std::size_t k = 0; k < one.size(); ++k) EXPECT_TRUE(identical(one[k], more[k]));
  }
}

TEST(Scan, RefusesWhatDoesNotFit) {
  Graph g, other;
  const Tensor x = g.placeholder("x", {4, 3}), longer = g.placeholder("longer", {5, 3});
  const Tensor open = g.placeholder("open", {kOpen, 3});
  const Tensor h = g.constant(0, {3}), foreign = other.constant(0, {3});
  const Tensor v = g.variable("v", {3}, constant(0));
  const auto with = [&](const std::function<ScanStep(Tensor s, Tensor e)>& step) {
    return error_of<std::invalid_argument>([&] {
      scan([&](const Tensors& s, const Tensors& e) { return step(s[0], e[0]); }, {h}, {x}, "loop");
    });
  };
  const ScanBody pass = [](const Tensors& s, const Tensors&) -> ScanStep { return {s, {}}; };
  EXPECT_EQ(with([](Tensor, Tensor) -> ScanStep {
              return {{}, {}};
            }),
            "scan 'loop': got 0 states from the body, expected 1 as at the beginning");
  EXPECT_EQ(with([](Tensor s, Tensor) -> ScanStep {
              return {{slice(s, 0, 0, 2)}, {}};
            }),
            "scan: got from the body state 0 float32 [2], expected float32 [3]");
  EXPECT_EQ(with([](Tensor, Tensor e) -> ScanStep {
              return {{e}, {Tensor()}};
            }),
            "scan 'loop': result 1 of its body is an empty tensor");
  EXPECT_EQ(with([&](Tensor, Tensor) -> ScanStep {
              return {{foreign}, {}};
            }),
            "scan 'loop': result 0 of its body belongs to another graph");
  EXPECT_EQ(with([&](Tensor s, Tensor) -> ScanStep {
              return {{s + foreign}, {}};
            }),
            "add: input 'constant' belongs to another graph");
  EXPECT_EQ(with([&](Tensor s, Tensor) -> ScanStep {
              return {{s}, {assign(v, s)}};
            }),
            "scan 'loop': got assign 'assign' in its body, expected nothing that writes to a "
            "variable");
  EXPECT_EQ(with([&](Tensor s, Tensor) -> ScanStep {
              return {{s + g.placeholder("p", {3})}, {}};
            }),
            "placeholder 'p': got one in a body, expected it outside");
  EXPECT_EQ(error_of<std::invalid_argument>([&] {
              scan(pass, {h}, {x, longer});
            }),
            "scan: got sequences of lengths 4 and 5, expected the same");
  EXPECT_EQ(error_of<std::invalid_argument>([&] {
              scan(pass, {h}, {g.placeholder("none", {0, 3})});
            }),
            "scan: got sequences of 0 elements, expected 1 or more");
  EXPECT_EQ(error_of<std::invalid_argument>([&] { scan(pass, {h}, {}); }),
            "scan 'scan': got no sequence, expected one or more");
  EXPECT_EQ(error_of<std::invalid_argument>([&] { scan(pass, {h}, {g.constant(0)}); }),
            "scan 'scan': sequence 'constant_1': got a scalar, expected [T, ...]");
  EXPECT_EQ(error_of<std::invalid_argument>([&] { scan(pass, {Tensor()}, {x}); }),
            "scan 'scan': an input is an empty tensor");
  // A tensor of a body that has ended.
  Tensor leaked;
  scan(
      [&](const Tensors& s, const Tensors& e) -> ScanStep {
        leaked = s[0] + e[0];
        return {{leaked}, {}};
      },
      {h}, {x});
  EXPECT_EQ(error_of<std::invalid_argument>([&] { tanh(h + leaked); }),
            "add: input 'add' belongs to another graph");
  // The graph is as good as before.
  EXPECT_EQ(tanh(h).shape(), (Shape{3}));
  EXPECT_EQ(&tanh(h).graph(), &g);

  // What only the feeds show.
  const ScanResult two = scan(
      [](const Tensors&, const Tensors& e) -> ScanStep {
        return {{}, {e[0] + e[1]}};
      },
      {}, {x, open});
  Session session(g, cpu(1));
  const std::vector<float> values(15);
  EXPECT_EQ(error_of<std::invalid_argument>([&] {
              session.run(two.outputs[0], {{x, std::span(values).first(12)}, {open, values}});
            }),
            "scan 'scan_1': got sequences of lengths 4 and 5, expected the same");
}

TEST(Scan, IsDescribedWithItsBody) {
  Graph g;
  const Tensor x = g.placeholder("x", {kOpen, 3}), w = g.variable("w", {3}, constant(0));
  scan(
      [&](const Tensors& s, const Tensors& e) -> ScanStep {
        return {{s[0] + e[0] * w}, {}};
      },
      {g.constant(0, {3})}, {x}, "loop");
  EXPECT_EQ(g.describe(), R"(x = placeholder -> float32 [?, 3]
w = variable {trainable: true, initializer: constant, value: 0} -> float32 [3]
constant = constant {value: 0} -> float32 [3]
loop = scan(constant, x, w) {states: 1, sequences: 1, reverse: false} -> float32 [3], float32 [?, 3]
  body:
    state = placeholder -> float32 [3]
    element = placeholder -> float32 [3]
    w = placeholder -> float32 [3]
    mul = mul(element, w) -> float32 [3]
    add = add(state, mul) -> float32 [3]
)");
  const std::string dot = g.dot();
  EXPECT_NE(dot.find("  subgraph cluster_n3_body {\n  label=\"loop: body\";\n  n3_body_0 ["),
            std::string::npos);
  EXPECT_NE(dot.find("  n3_body_3 -> n3_body_4;\n"), std::string::npos);
}

}  // namespace
}  // namespace unroll::test
