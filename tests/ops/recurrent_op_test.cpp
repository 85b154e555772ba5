/// recurrent() in a graph: against the reference, against unrolled(cell()), and with open
/// dimensions, dropout and changed weights in a session.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/recurrent_fixture.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

const RecurrentWeightsOptions kZeros{
    .prefix = "", .weight_ih = constant(0), .weight_hh = constant(0)};

/// Writes the weights of `data` to the cells' variables.
void write_cells(VariableStore& store, const std::vector<CellWeights>& cells,
                 const reference::RecurrentInputs<double>& data) {
  for (std::size_t k = 0; k < cells.size(); ++k)
    for_each_parameter(data.weights[k], [&](const CellParameter& p) {
      store.write<float>(p.of(cells[k]).name(), floats(p.of(data.weights[k])));
    });
}

/// A graph with placeholders for the data and the weights of the loss, variables for the weights of
/// the cells, and room for either form of the stack.
struct StackGraph {
  Graph graph;
  std::vector<CellParameter> parameters;  // of each cell; the shapes are those of the first
  RecurrentInputs in;
  Tensor wy;
  std::vector<Tensor> wh, wc;
  std::vector<std::vector<float>> values;
  std::vector<Feed> feeds;

  StackGraph(const RecurrentCase& c, const reference::RecurrentInputs<double>& data,
             const RecurrentLoss& loss, bool open = false)
      : parameters(cell_parameters(c.spec, 0, c.input)) {
    values.reserve(64);  // feeds point into it
    const std::int64_t steps = open ? kOpen : c.steps, batch = open ? kOpen : c.batch;
    in.x = feed("x", data.x, {steps, batch, c.input});
    for (const Reals& h : data.h0) in.h0.push_back(feed("h0", h));
    for (const Reals& c0 : data.c0) in.c0.push_back(feed("c0", c0));
    in.weights = recurrent_weights(graph, c.spec, c.input, kZeros);
    if (!data.lengths.empty()) {
      in.lengths = graph.placeholder("lengths", {batch}, DType::kInt32);
      feeds.emplace_back(in.lengths, std::span(data.lengths), Shape{c.batch});
    }
    wy = feed("wy", loss.y);
    for (const Reals& w : loss.h_n) wh.push_back(feed("wh", w));
    for (const Reals& w : loss.c_n) wc.push_back(feed("wc", w));
  }

  /// sum(w y) + sum(w h_n) + sum(w c_n)
  Tensor loss(const RecurrentResult& result) const {
    Tensor sum = reduce_sum(wy * result.y);
    for (std::size_t k = 0; k < wh.size(); ++k) sum = sum + reduce_sum(wh[k] * result.h_n[k]);
    for (std::size_t k = 0; k < wc.size(); ++k) sum = sum + reduce_sum(wc[k] * result.c_n[k]);
    return sum;
  }

  /// In the order of flatten().
  std::vector<Tensor> differentiable() const {
    std::vector<Tensor> list{in.x};
    list.insert(list.end(), in.h0.begin(), in.h0.end());
    list.insert(list.end(), in.c0.begin(), in.c0.end());
    for (const CellWeights& w : in.weights)
      for (const CellParameter& p : parameters) list.push_back(p.of(w));
    return list;
  }

  void write_weights(VariableStore& store, const reference::RecurrentInputs<double>& data) const {
    write_cells(store, in.weights, data);
  }

 private:
  Tensor feed(const std::string& name, const Reals& array, const Shape& shape) {
    values.push_back(floats(array));
    const Tensor x = graph.placeholder(name + std::to_string(values.size()), shape);
    feeds.emplace_back(x, std::span<const float>(values.back()), shape_of(array.dims));
    return x;
  }
  Tensor feed(const std::string& name, const Reals& array) {
    return feed(name, array, shape_of(array.dims));
  }
};

std::vector<Tensor> outputs_of(const RecurrentResult& result) {
  std::vector<Tensor> list{result.y};
  list.insert(list.end(), result.h_n.begin(), result.h_n.end());
  list.insert(list.end(), result.c_n.begin(), result.c_n.end());
  return list;
}

std::vector<Reals> outputs_of(const reference::RecurrentOutputs<double>& result) {
  std::vector<Reals> list{result.y};
  list.insert(list.end(), result.h_n.begin(), result.h_n.end());
  list.insert(list.end(), result.c_n.begin(), result.c_n.end());
  return list;
}

/// x with its first axis reversed.
Tensor reversed(Tensor x) {
  std::vector<Tensor> parts;
  for (std::int64_t t = x.shape()[0]; t-- > 0;) parts.push_back(slice(x, 0, t, t + 1));
  return concat(parts, 0);
}

/// The stack made with unrolled(cell()); the reverse direction gets the reversed sequence.
RecurrentResult elementary(const RecurrentSpec& spec, const RecurrentInputs& in) {
  RecurrentResult result;
  result.y = in.x;
  for (std::size_t layer = 0; layer < spec.hidden.size(); ++layer) {
    std::vector<Tensor> ys, hs, cs;
    for (int d = 0; d < spec.directions; ++d) {
      const auto part = [&](Tensor state) {
        return reshape(slice(state, 0, d, d + 1), {state.shape()[1], state.shape()[2]});
      };
      CellState initial{part(in.h0[layer])};
      if (!in.c0.empty()) initial.push_back(part(in.c0[layer]));
      const Tensor x = d == 0 ? result.y : reversed(result.y);
      const std::size_t which = layer * std::size_t(spec.directions) + std::size_t(d);
      const Unrolled out = unrolled(cell(spec, in.weights[which]), x, initial);
      ys.push_back(d == 0 ? out.y : reversed(out.y));
      const auto whole = [](Tensor state) {
        return reshape(state, {1, state.shape()[0], state.shape()[1]});
      };
      hs.push_back(whole(out.state[0]));
      if (!in.c0.empty()) cs.push_back(whole(out.state[1]));
    }
    result.y = concat(ys, 2);
    result.h_n.push_back(concat(hs, 0));
    if (!cs.empty()) result.c_n.push_back(concat(cs, 0));
  }
  return result;
}

class RecurrentOp : public OnRecurrentCases {
 protected:
  /// The outputs and gradients of one form of the stack.
  struct Results {
    std::vector<std::vector<float>> outputs, slopes;
  };
  Results run(const RecurrentCase& c, const reference::RecurrentInputs<double>& data,
              const RecurrentLoss& loss, bool fused) {
    StackGraph g(c, data, loss);
    const RecurrentResult result = fused ? recurrent(c.spec, g.in) : elementary(c.spec, g.in);
    const std::vector<Tensor> outputs = outputs_of(result);
    const std::vector<Tensor> slopes = dense_gradients(g.loss(result), g.differentiable());
    std::vector<Tensor> fetches = outputs;
    fetches.insert(fetches.end(), slopes.begin(), slopes.end());
    Session session(g.graph, backend_);
    g.write_weights(session.variables(), data);
    session.run(fetches, g.feeds);
    Results all;
    for (const Tensor& y : outputs) all.outputs.push_back(session.read(y));
    for (const Tensor& slope : slopes) all.slopes.push_back(session.read(slope));
    return all;
  }
};

TEST_P(RecurrentOp, ValuesAndGradientsMatchTheReference) {
  for (const RecurrentCase& c : taken(recurrent_cases({
           recurrent_shape({4}, 2, 4, 3, 3, true),
           recurrent_shape({3, 2}, 1, 3, 2, 2, false),
       }))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 51);
    const auto expected = reference::recurrent(c.spec, data);
    const RecurrentLoss loss = recurrent_loss(expected, 52);
    const Results actual = run(c, data, loss, true);
    const std::vector<Reals> outputs = outputs_of(expected);
    for (std::size_t k = 0; k < outputs.size(); ++k)
      EXPECT_TRUE(close(actual.outputs[k], outputs[k].values, recurrent_ulps(c)));
    const std::vector<Reals> slopes =
        reference::complex_step(flatten(data), complex_loss(c, loss, data));
    for (std::size_t k = 0; k < slopes.size(); ++k)
      EXPECT_TRUE(close(actual.slopes[k], slopes[k].values, recurrent_gradient_ulps(c)))
          << "gradient of " << flat_names(data)[k];
  }
}

// Each form has its own rounding errors: twice the bound against the reference. A gradient is also
// a sum over T steps of values up to 2, and the elementary form adds the T terms one by one.
TEST_P(RecurrentOp, MatchesTheElementaryForm) {
  for (const RecurrentCase& c : taken(recurrent_cases({
           recurrent_shape({5}, 1, 40, 3, 4, false),
           recurrent_shape({33, 32}, 2, 7, 20, 9, false),
           recurrent_shape({40, 17, 257}, 1, 4, 3, 12, false),
           recurrent_shape({8, 16, 12}, 2, 3, 1, 31, false),
       }))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 53);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 54);
    const Results fused = run(c, data, loss, true), elementary = run(c, data, loss, false);
    for (std::size_t k = 0; k < fused.outputs.size(); ++k)
      EXPECT_TRUE(close(fused.outputs[k], doubles(elementary.outputs[k]), 2 * recurrent_ulps(c)));
    for (std::size_t k = 0; k < fused.slopes.size(); ++k)
      EXPECT_TRUE(
          close(fused.slopes[k], doubles(elementary.slopes[k]), 2 * recurrent_gradient_ulps(c), 2))
          << "gradient of " << flat_names(data)[k];
  }
}

TEST_P(RecurrentOp, AbsentInitialStateIsZero) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({5, 4}, 2, 3, 2, 3, false)}))) {
    SCOPED_TRACE(describe(c));
    auto data = recurrent_data(c, 55);
    for (auto* states : {&data.h0, &data.c0})
      for (Reals& state : *states) std::fill(state.values.begin(), state.values.end(), 0);
    const auto expected = reference::recurrent(c.spec, data);
    StackGraph g(c, data, recurrent_loss(expected, 56));
    RecurrentInputs in = g.in;
    in.h0.clear();
    in.c0.clear();
    const RecurrentResult result = recurrent(c.spec, in);
    Session session(g.graph, backend_);
    g.write_weights(session.variables(), data);
    EXPECT_TRUE(
        close(session.evaluate(result.y, {g.feeds[0]}), expected.y.values, recurrent_ulps(c)));
  }
}

TEST_P(RecurrentOp, OneSessionPlansForManyLengthsAndBatches) {
  if (is_cudnn()) GTEST_SKIP() << "cuDNN's form takes no lengths";
  for (const RecurrentCase& shape :
       taken(recurrent_cases({recurrent_shape({6, 5}, 2, 1, 1, 4, true)}))) {
    const auto weights = recurrent_data(shape, 57);
    Graph graph;
    RecurrentInputs in;
    in.x = graph.placeholder("x", {kOpen, kOpen, 4});
    in.lengths = graph.placeholder("lengths", {kOpen}, DType::kInt32);
    in.weights = recurrent_weights(graph, shape.spec, 4, kZeros);
    const RecurrentResult result = recurrent(shape.spec, in);
    std::vector<Tensor> fetches = dense_gradients(reduce_sum(result.y), {in.x});
    fetches.push_back(result.y);
    const auto write = [&](Session& session) {
      write_cells(session.variables(), in.weights, weights);
    };
    Session session(graph, backend_);
    write(session);
    struct Size {
      std::int64_t steps, batch;
    };
    for (const auto& [steps, batch] :
         {Size{5, 3}, Size{1, 1}, Size{9, 2}, Size{5, 3}, Size{2, 7}, Size{9, 2}}) {
      RecurrentCase c = shape;
      c.steps = steps;
      c.batch = batch;
      SCOPED_TRACE(describe(c));
      const auto data = recurrent_data(c, std::uint64_t(58 + steps));
      const std::vector<float> x = floats(data.x);
      const Shape sizes{steps, batch, 4};
      const std::vector<Feed> feeds{{in.x, std::span<const float>(x), sizes},
                                    {in.lengths, data.lengths}};
      session.run(fetches, feeds);
      Session fresh(graph, backend_);
      write(fresh);
      fresh.run(fetches, feeds);
      for (const Tensor& fetch : fetches)
        EXPECT_TRUE(identical(session.read(fetch), fresh.read(fetch)));
      auto expected = data;
      expected.weights = weights.weights;
      for (auto* states : {&expected.h0, &expected.c0})
        for (Reals& state : *states) std::fill(state.values.begin(), state.values.end(), 0);
      EXPECT_TRUE(close(session.read(result.y), reference::recurrent(c.spec, expected).y.values,
                        recurrent_ulps(c)));
    }
    EXPECT_EQ(session.plans(), 4);
  }
}

TEST_P(RecurrentOp, WeightsWrittenBetweenRunsAreSeen) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({6, 5}, 1, 3, 2, 4, false)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 60);
    StackGraph g(c, data, recurrent_loss(reference::recurrent(c.spec, data), 61));
    const RecurrentResult result = recurrent(c.spec, g.in);
    Session session(g.graph, backend_);
    for (const std::uint64_t seed : {60U, 62U, 60U}) {
      auto now = data;
      now.weights = recurrent_data(c, seed).weights;
      g.write_weights(session.variables(), now);
      std::vector<Feed> feeds(g.feeds.begin(), g.feeds.begin() + 1);
      for (std::size_t k = 0; k < g.in.h0.size() + g.in.c0.size(); ++k)
        feeds.push_back(g.feeds[k + 1]);
      session.run(std::vector<Tensor>{result.y}, feeds);
      EXPECT_TRUE(close(session.read(result.y), reference::recurrent(c.spec, now).y.values,
                        recurrent_ulps(c)));
    }
  }
}

// Biases may be computed in the graph while the weights beside them are variables. A plan must
// neither keep a form of these biases from run to run, nor miss a change of the weights.
TEST_P(RecurrentOp, BiasesThatAreNoVariablesAreSeen) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({6, 5}, 1, 3, 2, 4, false)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 69);
    StackGraph g(c, data, recurrent_loss(reference::recurrent(c.spec, data), 70));
    const Tensor scale = g.graph.placeholder("scale", {1});
    RecurrentInputs in = g.in;
    for (CellWeights& w : in.weights) {
      w.bias_ih = w.bias_ih * scale;
      w.bias_hh = w.bias_hh * scale;
    }
    const RecurrentResult result = recurrent(c.spec, in);
    Session session(g.graph, backend_);
    struct Run {
      float factor;
      std::uint64_t seed;  // of the weights
    };
    for (const auto& [factor, seed] : {Run{1, 69}, Run{2, 69}, Run{-0.5F, 69}, Run{3, 71}}) {
      auto now = data;
      now.weights = recurrent_data(c, seed).weights;
      if (factor == 1 || seed != 69) g.write_weights(session.variables(), now);
      for (auto& w : now.weights)
        for (Reals* bias : {&w.bias_ih, &w.bias_hh})
          for (double& value : bias->values) value *= double(factor);
      std::vector<Feed> feeds(g.feeds.begin(), g.feeds.begin() + 1);
      for (std::size_t k = 0; k < g.in.h0.size() + g.in.c0.size(); ++k)
        feeds.push_back(g.feeds[k + 1]);
      feeds.emplace_back(scale, std::span(&factor, 1));
      session.run(std::vector<Tensor>{result.y}, feeds);
      EXPECT_TRUE(close(session.read(result.y), reference::recurrent(c.spec, now).y.values,
                        recurrent_ulps(c)));
    }
  }
}

// y and each of the states are optional.
TEST_P(RecurrentOp, OutputsCanBeFetchedAlone) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({5, 4}, 2, 3, 2, 3, true)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 63);
    const auto expected = reference::recurrent(c.spec, data);
    StackGraph g(c, data, recurrent_loss(expected, 64));
    const RecurrentResult result = recurrent(c.spec, g.in);
    const std::vector<Tensor> outputs = outputs_of(result);
    const std::vector<Reals> values = outputs_of(expected);
    const std::size_t inputs = 1 + g.in.h0.size() + g.in.c0.size() + (c.lengths ? 1 : 0);
    const std::span<const Feed> feeds(g.feeds.data(), inputs);
    Session session(g.graph, backend_);
    g.write_weights(session.variables(), data);
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      session.run(std::span(&outputs[k], 1), feeds);
      EXPECT_TRUE(close(session.read(outputs[k]), values[k].values, recurrent_ulps(c))) << k;
    }
  }
}

// For a single weight, for a single state, and for a loss that depends on one h_n.
TEST_P(RecurrentOp, GradientsCanBeAskedForAlone) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({4, 3}, 2, 3, 2, 3, false)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 65);
    RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 66);
    const Reals kept = loss.h_n[0];
    std::fill(loss.y.values.begin(), loss.y.values.end(), 0);
    for (auto* list : {&loss.h_n, &loss.c_n})
      for (Reals& w : *list) std::fill(w.values.begin(), w.values.end(), 0);
    loss.h_n[0] = kept;
    StackGraph g(c, data, loss);
    const RecurrentResult result = recurrent(c.spec, g.in);
    const Tensor cost = reduce_sum(g.wh[0] * result.h_n[0]);
    const std::vector<Tensor> xs = g.differentiable();
    const auto slopes = reference::complex_step(flatten(data), complex_loss(c, loss, data));
    const std::vector<Feed> feeds = [&] {
      std::vector<Feed> list;
      for (const Feed& feed : g.feeds)
        if (feed.placeholder() != g.wy &&
            std::find(g.wh.begin() + 1, g.wh.end(), feed.placeholder()) == g.wh.end() &&
            std::find(g.wc.begin(), g.wc.end(), feed.placeholder()) == g.wc.end())
          list.push_back(feed);
      return list;
    }();
    const std::size_t last = xs.size() - 1;
    std::vector<Tensor> fetches;
    const std::size_t first_weight = xs.size() - g.parameters.size() * g.in.weights.size();
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}, first_weight, last})
      fetches.push_back(dense_gradients(cost, {xs[k]})[0]);
    Session session(g.graph, backend_);
    g.write_weights(session.variables(), data);
    std::size_t which = 0;
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}, first_weight, last}) {
      std::vector<Tensor> one{fetches[which++], cost};
      session.run(one, feeds);
      EXPECT_TRUE(close(session.read(one[0]), slopes[k].values, recurrent_gradient_ulps(c)))
          << flat_names(data)[k];
    }
  }
}

// The next step uses the weights that the last one changed, including their prepared forms: after a
// few steps the two forms of the stack have the same weights.
TEST_P(RecurrentOp, TrainsLikeTheElementaryForm) {
  for (const RecurrentCase& c :
       taken(recurrent_cases({recurrent_shape({9, 6}, 1, 4, 3, 5, false)}))) {
    SCOPED_TRACE(describe(c));
    const auto data = recurrent_data(c, 67);
    const RecurrentLoss loss = recurrent_loss(reference::recurrent(c.spec, data), 68);
    std::vector<std::vector<float>> first;
    for (const bool fused : {true, false}) {
      StackGraph g(c, data, loss);
      const Tensor cost = g.loss(fused ? recurrent(c.spec, g.in) : elementary(c.spec, g.in));
      const Tensor step = GradientDescentOptimizer(0.01).minimize(cost);
      Session session(g.graph, backend_);
      g.write_weights(session.variables(), data);
      for (int run = 0; run < 4; ++run) session.run(std::span(&step, 1), g.feeds);
      std::size_t k = 0;
      for (const CellWeights& w : g.in.weights)
        for (const CellParameter& p : g.parameters) {
          const Tensor& weight = p.of(w);
          const std::vector<float> values = session.variables().read<float>(weight.name());
          if (fused)
            first.push_back(values);
          else  // 4 steps of 0.01 times the error of a gradient, and 4 sums
            EXPECT_TRUE(close(first[k++], doubles(values), 4 + 0.1 * recurrent_gradient_ulps(c)))
                << weight.name();
        }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentOp,
                         ::testing::Values("Cpu", "Cuda", "CudaPersistent", "CudaCudnn"),
                         backend_name);

/// Two layers. The upper one passes on the output of the lower one: relu with W = 1, R = 0, b = 0;
/// the lower one passes on x. So y is x times the mask.
class RecurrentDropout : public OnEachBackend {
 protected:
  static constexpr std::int64_t kSteps = 20, kBatch = 10, kUnits = 30;

  struct Result {
    std::vector<float> y, dx;
  };

  Result run(double rate, std::uint64_t seed, std::int64_t step, const std::string& name = "rnn") {
    Graph g;
    const RecurrentSpec spec{
        .cell = CellKind::kRnnRelu, .hidden = {kUnits, kUnits}, .dropout = float(rate)};
    RecurrentInputs in;
    in.x = g.placeholder("x", {kSteps, kBatch, kUnits});
    in.weights = recurrent_weights(g, spec, kUnits, kZeros);
    const Tensor y = recurrent(spec, in, name).y;
    const std::vector<Tensor> fetches{y, dense_gradients(reduce_sum(y), {in.x})[0]};
    Session session(g, backend_, seed);
    std::vector<float> identity(kUnits * kUnits);
    for (std::size_t k = 0; k < kUnits; ++k) identity[k * kUnits + k] = 1;
    session.variables().write<float>("weight_ih_l0", identity);
    session.variables().write<float>("weight_ih_l1", identity);
    session.set_step(step);
    const std::vector<float> ones(kSteps * kBatch * kUnits, 1.0F);
    const std::vector<Feed> feeds{{in.x, ones}};
    session.run(fetches, feeds);
    return {session.read(y), session.read(fetches[1])};
  }
};

TEST_P(RecurrentDropout, MasksAreBinaryWithTheRatesShareOfZeros) {
  const std::vector<float> y = run(0.25, 1, 0).y;
  int dropped = 0;
  for (const float value : y) {
    dropped += value == 0;
    EXPECT_NEAR(value, value == 0 ? 0 : 1 / 0.75, 2 * kUlp);
  }
  EXPECT_NEAR(dropped, 1500, 168);  // binomial, n = 6000: 5 standard deviations of 33.5
}

TEST_P(RecurrentDropout, StepsAndSequencesHaveMasksOfTheirOwn) {
  const std::vector<float> y = run(0.5, 1, 0).y;
  const auto row = [&](std::size_t r) {
    const auto begin = y.begin() + std::ptrdiff_t(r * kUnits);
    return std::vector<float>(begin, begin + kUnits);
  };
  for (std::size_t r = 1; r < kSteps * kBatch; ++r) EXPECT_NE(row(r), row(r - 1));
  EXPECT_NE(row(kBatch), row(0));
}

TEST_P(RecurrentDropout, DependsOnSeedStepAndName) {
  const std::vector<float> base = run(0.5, 1, 4).y;
  EXPECT_EQ(run(0.5, 1, 4).y, base);
  EXPECT_NE(run(0.5, 2, 4).y, base);
  EXPECT_NE(run(0.5, 1, 5).y, base);
  EXPECT_NE(run(0.5, 1, 4, "other").y, base);
}

TEST_P(RecurrentDropout, BackwardUsesTheMaskOfForward) {
  for (const std::int64_t step : {0, 1, 9}) {
    const Result result = run(0.5, 1, step);
    EXPECT_EQ(result.dx, result.y);
  }
}

TEST_P(RecurrentDropout, RateZeroChangesNothing) {
  EXPECT_EQ(run(0, 1, 0).y, std::vector<float>(kSteps * kBatch * kUnits, 1.0F));
}

TEST_P(RecurrentDropout, TheTopLayerIsNotDropped) {
  Graph g;
  const RecurrentSpec spec{.cell = CellKind::kRnnRelu, .hidden = {kUnits}, .dropout = 0.9F};
  RecurrentInputs in;
  in.x = g.constant(1, {kSteps, kBatch, 4});
  in.weights =
      recurrent_weights(g, spec, 4, {.weight_ih = constant(0.25), .weight_hh = constant(0)});
  const Tensor y = recurrent(spec, in).y;
  Session session(g, backend_);
  EXPECT_EQ(session.evaluate(y), std::vector<float>(kSteps * kBatch * kUnits, 1.0F));
}

INSTANTIATE_TEST_SUITE_P(On, RecurrentDropout,
                         ::testing::Values("Cpu", "Cuda", "CudaPersistent", "CudaCudnn"),
                         backend_name);

TEST(RecurrentShapes, WeightsHavePyTorchsNamesAndShapes) {
  Graph g;
  const RecurrentSpec spec{.cell = CellKind::kGru, .hidden = {5, 3}, .directions = 2};
  const std::vector<CellWeights> weights = recurrent_weights(g, spec, 7);
  ASSERT_EQ(weights.size(), 4U);
  EXPECT_EQ(weights[0].weight_ih.name(), "rnn.weight_ih_l0");
  EXPECT_EQ(weights[1].weight_hh.name(), "rnn.weight_hh_l0_reverse");
  EXPECT_EQ(weights[2].bias_ih.name(), "rnn.bias_ih_l1");
  EXPECT_EQ(weights[3].bias_hh.name(), "rnn.bias_hh_l1_reverse");
  EXPECT_EQ(weights[0].weight_ih.shape(), (Shape{15, 7}));
  EXPECT_EQ(weights[1].weight_ih.shape(), (Shape{15, 7}));
  EXPECT_EQ(weights[1].weight_hh.shape(), (Shape{15, 5}));
  EXPECT_EQ(weights[2].weight_ih.shape(), (Shape{9, 10}));
  EXPECT_EQ(weights[3].weight_hh.shape(), (Shape{9, 3}));
  EXPECT_EQ(weights[3].bias_hh.shape(), Shape{9});
}

TEST(RecurrentShapes, VariantsOfAnLstmHaveTheirOwn) {
  Graph g;
  const RecurrentSpec spec{.hidden = {5, 4},
                           .directions = 2,
                           .input_gate = InputGate::kCoupled,
                           .layer_norm = true,
                           .projection = 2};
  const std::vector<CellWeights> weights = recurrent_weights(g, spec, 7, {.prefix = "r."});
  std::vector<std::string> names;
  for (const Tensor& variable : g.variables())
    if (variable.name().ends_with("_l1_reverse"))
      names.push_back(variable.name() + " " + to_string(variable.shape()));
  EXPECT_EQ(names,
            (std::vector<std::string>{"r.weight_ih_l1_reverse [12, 4]",
                                      "r.weight_hh_l1_reverse [12, 2]", "r.bias_ih_l1_reverse [12]",
                                      "r.bias_hh_l1_reverse [12]", "r.weight_hr_l1_reverse [2, 4]",
                                      "r.gain_ih_l1_reverse [12]", "r.gain_hh_l1_reverse [12]",
                                      "r.gain_c_l1_reverse [4]", "r.bias_c_l1_reverse [4]"}));
  EXPECT_EQ(weights[0].weight_ih.shape(), (Shape{15, 7}));
  RecurrentInputs in;
  in.x = g.placeholder("x", {3, kOpen, 7});
  in.weights = weights;
  const RecurrentResult result = recurrent(spec, in);
  EXPECT_EQ(result.y.shape(), (Shape{3, kOpen, 4}));
  EXPECT_EQ(result.h_n[0].shape(), (Shape{2, kOpen, 2}));
  EXPECT_EQ(result.c_n[0].shape(), (Shape{2, kOpen, 5}));
  Session session(g, cpu(1));
  for (const char* gain : {"r.gain_ih_l0", "r.gain_hh_l1", "r.gain_c_l1_reverse"})
    for (const float value : session.variables().read<float>(gain)) EXPECT_EQ(value, 1.0F);
  for (const char* zero : {"r.bias_c_l0", "r.bias_ih_l1"})
    for (const float value : session.variables().read<float>(zero)) EXPECT_EQ(value, 0.0F);
}

TEST(RecurrentShapes, ResultsHaveTheirShapes) {
  Graph g;
  const RecurrentSpec spec{.hidden = {5, 3}, .directions = 2};
  RecurrentInputs in;
  in.x = g.placeholder("x", {kOpen, 4, 7});
  in.weights = recurrent_weights(g, spec, 7, kZeros);
  const RecurrentResult result = recurrent(spec, in);
  EXPECT_EQ(result.y.shape(), (Shape{kOpen, 4, 6}));
  ASSERT_EQ(result.h_n.size(), 2U);
  ASSERT_EQ(result.c_n.size(), 2U);
  EXPECT_EQ(result.h_n[0].shape(), (Shape{2, 4, 5}));
  EXPECT_EQ(result.c_n[1].shape(), (Shape{2, 4, 3}));
}

TEST(RecurrentShapes, AreChecked) {
  Graph g;
  const RecurrentSpec lstm{.hidden = {5}}, gru{.cell = CellKind::kGru, .hidden = {5}};
  RecurrentInputs good;
  good.x = g.placeholder("x", {3, 4, 7});
  good.weights = recurrent_weights(g, lstm, 7, kZeros);
  const auto h = g.placeholder("h", {1, 4, 5}), wrong = g.placeholder("wrong", {1, 3, 5});
  EXPECT_NO_THROW(recurrent(lstm, good));

  RecurrentInputs in = good;
  in.x = g.placeholder("x6", {3, 4, 6});
  EXPECT_THROW(recurrent(lstm, in), std::invalid_argument);
  in.x = g.placeholder("flat", {12, 7});
  EXPECT_THROW(recurrent(lstm, in), std::invalid_argument);
  in = good;
  EXPECT_THROW(recurrent(gru, in), std::invalid_argument);  // weights have four gates
  in.weights.clear();
  EXPECT_THROW(recurrent(lstm, in), std::invalid_argument);
  in = good;
  in.h0 = {wrong};
  in.c0 = {h};
  EXPECT_THROW(recurrent(lstm, in), std::invalid_argument);
  in.h0 = {h, h};
  EXPECT_THROW(recurrent(lstm, in), std::invalid_argument);
  in = good;
  in.lengths = g.placeholder("lengths", {3}, DType::kInt32);
  EXPECT_THROW(recurrent(lstm, in), std::invalid_argument);
  in.lengths = g.placeholder("float lengths", {4});
  EXPECT_THROW(recurrent(lstm, in), std::invalid_argument);
}

TEST(RecurrentShapes, OfAnLstmsVariantsAreChecked) {
  Graph g;
  const RecurrentSpec projected{.hidden = {5}, .projection = 2},
      normalised{.hidden = {5}, .layer_norm = true},
      coupled{.hidden = {5}, .input_gate = InputGate::kCoupled};
  const Tensor x = g.placeholder("x", {3, 4, 7});
  const auto weights = [&](const RecurrentSpec& spec, const char* prefix) {
    RecurrentWeightsOptions options = kZeros;
    options.prefix = prefix;
    return recurrent_weights(g, spec, 7, options);
  };
  const auto error = [&](const RecurrentSpec& spec, const std::vector<CellWeights>& cells,
                         std::int64_t width) {
    RecurrentInputs in{.x = x, .weights = cells};
    in.h0 = {g.placeholder("h" + std::to_string(g.nodes().size()), {1, 4, width})};
    try {
      recurrent(spec, in);
    } catch (const std::invalid_argument& refusal) {
      return std::string(refusal.what());
    }
    return std::string("none");
  };
  const auto p = weights(projected, "p."), n = weights(normalised, "n."),
             c = weights(coupled, "c.");
  EXPECT_EQ(error(projected, p, 2), "none");
  EXPECT_EQ(error(normalised, n, 5), "none");
  EXPECT_EQ(error(coupled, c, 5), "none");
  auto wrong = p;
  wrong[0].weight_hr = g.placeholder("turned", {5, 2});
  EXPECT_NE(error(projected, wrong, 2).find("weight_hr of cell 0 [5, 2], expected [2, 5]"),
            std::string::npos)
      << error(projected, wrong, 2);
  wrong = n;
  wrong[0].gain_c = g.placeholder("gain", {20});
  EXPECT_NE(error(normalised, wrong, 5).find("gain_c of cell 0 [20], expected [5]"),
            std::string::npos)
      << error(normalised, wrong, 5);
  EXPECT_NE(error(projected, p, 5).find("an initial state [1, 4, 5], expected [1, 4, 2]"),
            std::string::npos)
      << error(projected, p, 5);
  EXPECT_NE(error({.hidden = {5}}, c, 5).find("weight_ih of cell 0 [15, 7], expected [20, 7]"),
            std::string::npos)
      << error({.hidden = {5}}, c, 5);
  EXPECT_NE(error(projected, n, 2), "none");  // weight_hr is empty
}

TEST(RecurrentShapes, SpecsAreValidated) {
  EXPECT_NO_THROW(validate({.hidden = {5}}));
  EXPECT_THROW(validate({}), std::invalid_argument);
  EXPECT_THROW(validate({.hidden = {5, 0}}), std::invalid_argument);
  EXPECT_THROW(validate({.hidden = {-1}}), std::invalid_argument);
  EXPECT_THROW(validate({.hidden = {5}, .directions = 3}), std::invalid_argument);
  EXPECT_THROW(validate({.hidden = {5}, .directions = 0}), std::invalid_argument);
  EXPECT_THROW(validate({.hidden = {5}, .dropout = 1}), std::invalid_argument);
  EXPECT_THROW(validate({.hidden = {5}, .dropout = -0.5F}), std::invalid_argument);
  EXPECT_THROW(validate({.hidden = {5}, .dropout = std::nanf("")}), std::invalid_argument);
  EXPECT_NO_THROW(validate(
      {.hidden = {5, 4}, .input_gate = InputGate::kCapped, .layer_norm = true, .projection = 3}));
  EXPECT_EQ(to_string(CellKind::kRnnLogistic), "rnn_logistic");
  EXPECT_EQ(to_string(CellKind::kGru), "gru");
}

TEST(RecurrentShapes, OnlyAnLstmHasVariants) {
  const auto error = [](const RecurrentSpec& spec) {
    try {
      validate(spec);
    } catch (const std::invalid_argument& refusal) {
      return std::string(refusal.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(error({.hidden = {5, 4}, .projection = 4}),
            "recurrent: got a projection from 4 units to 4 elements, expected fewer elements than "
            "units");
  EXPECT_EQ(error({.hidden = {5}, .projection = -1}),
            "recurrent: got a projection to -1 elements, expected 0 (none) or more");
  for (const CellKind cell : kCellKinds) {
    if (cell == CellKind::kLstm) continue;
    const std::string end = " in a " + to_string(cell) + ", expected an lstm";
    EXPECT_EQ(error({.cell = cell, .hidden = {5}, .projection = 2}),
              "recurrent: got a projection" + end);
    EXPECT_EQ(error({.cell = cell, .hidden = {5}, .layer_norm = true}),
              "recurrent: got layer norm" + end);
    EXPECT_EQ(error({.cell = cell, .hidden = {5}, .input_gate = InputGate::kCoupled}),
              "recurrent: got a coupled input gate" + end);
    EXPECT_EQ(error({.cell = cell, .hidden = {5}, .input_gate = InputGate::kCapped}),
              "recurrent: got a capped input gate" + end);
  }
}

}  // namespace
}  // namespace unroll::test
