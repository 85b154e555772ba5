/// Random graphs with many live values against the reference: what a plan does to save memory
/// (lifetimes, updates in place, aliases, packed gradients) must not show in any result.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/graph_case.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "unroll/gradients.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

constexpr int kInputs = 4, kNodes = 40;
constexpr std::int64_t kSize = 4;  // every value is [4, 4] and below 1 or so

struct Step {
  int kind, a, b;  // operands by number: inputs first, then the steps' results
};

std::vector<Step> random_steps(Random& random) {
  std::vector<Step> steps;
  for (int k = 0; k < kNodes; ++k) {
    const int last = kInputs + k;
    // Half of all operands are recent values, the others from anywhere.
    const auto operand = [&] {
      return random.integer(0, 2) == 0 ? random.integer(0, last)
                                       : random.integer(std::max(0, last - 3), last);
    };
    const int a = operand(), b = operand();
    steps.push_back({random.integer(0, 22), a, b});
  }
  return steps;
}

Tensor in_graph(const Step& step, const std::vector<Tensor>& v) {
  const Tensor a = v[std::size_t(step.a)], b = v[std::size_t(step.b)];
  const std::vector<Tensor> halves = {slice(a, 0, 0, 2), slice(b, 0, 1, 3)};
  switch (step.kind) {
    case 0:
      return tanh(a + b);
    case 1:
      return a * b;
    case 2:
      return logistic(a - b);
    case 3:
      return matmul(a, b) * 0.25;
    case 4:
      return matmul(a, b, {.transpose_a = true}) * 0.25;
    case 5:
      return transpose(a);
    case 6:
      return reshape(reshape(a, {kSize * kSize}), {kSize, kSize});
    case 7:
      return concat(halves, 0);
    case 8:
      return softmax(a);
    case 9:
      return relu(a) - b * 0.5;
    case 10:
      return tanh(reduce_sum(a, 0, {.keep_dims = true}) + b);
    case 12:
      return cumulative_sum(a, 1, {.exclusive = true}) * 0.25;
    case 13: {  // of which one part is not read
      const std::vector<Tensor> rows = unstack(a, 0);
      return stack({rows[3], rows[0], rows[3], rows[1]}, 1);
    }
    case 14:
      return pad(slice(a, 1, 1, 3), {{0, 0}, {2, 0}}, 0.5) * b;
    case 15:
      return tile(slice(a, 0, 1, 3), {2, 1}) + reshape(gather(b, rank(a), 1), {kSize, 1}) * 0.5;
    case 16:
      return where(greater(a, b), a * 0.5, sin(b));
    case 17:
      return cast(cast(gelu(a), DType::kFloat64) * cast(b, DType::kFloat64), DType::kFloat32);
    case 18:
      return maximum(a, b) - minimum(a, b * 0.5);
    case 19:
      return clip(a + b, -0.75, 0.5) + leaky_relu(b, 0.25) * 0.5;
    case 20:
      return reshape(matmul(reshape(a, {1, 4, 4}), reshape(b, {1, 4, 4})), {4, 4}) * 0.25;
    default:
      return stop_gradient(a) * 0.5 + reshape(b, {kSize, kSize}) * 0.5;
  }
}

ComplexArray in_reference(const Step& step, const std::vector<ComplexArray>& v) {
  using reference::map, reference::zip;
  const ComplexArray &a = v[std::size_t(step.a)], &b = v[std::size_t(step.b)];
  const auto tanh_of = [](Complex x) { return std::tanh(x); };
  const auto quarter = [](Complex x) { return x * 0.25; };
  const auto sum = [](Complex x, Complex y) { return x + y; };
  switch (step.kind) {
    case 0:
      return map(zip(a, b, sum), tanh_of);
    case 1:
      return zip(a, b, [](Complex x, Complex y) { return x * y; });
    case 2:
      return zip(a, b, [](Complex x, Complex y) { return reference::logistic(x - y); });
    case 3:
      return map(reference::matmul(a, b), quarter);
    case 4:
      return map(reference::matmul(a, b, true, false), quarter);
    case 5:
      return reference::transpose(a, {1, 0});
    case 6:
      return a;
    case 7:
      return reference::concat<Complex>(
          {reference::slice(a, 0, 0, 2), reference::slice(b, 0, 1, 3)}, 0);
    case 8:
      return reference::softmax(a);
    case 9:
      return zip(a, b, [](Complex x, Complex y) { return reference::relu(x) - y * 0.5; });
    case 10:
      return map(zip(reference::reduce_sum(a, {true, false}), b, sum), tanh_of);
    case 12:
      return map(reference::cumulative_sum(a, 1, true, false), quarter);
    case 13: {
      const auto row = [&](std::int64_t k) { return reference::slice(a, 0, k, k + 1); };
      return reference::transpose(reference::concat<Complex>({row(3), row(0), row(3), row(1)}, 0),
                                  {1, 0});
    }
    case 14:
      return zip(reference::pad(reference::slice(a, 1, 1, 3), {0, 2}, {0, 0}, 0.5), b,
                 [](Complex x, Complex y) { return x * y; });
    case 15:
      return zip(reference::tile(reference::slice(a, 0, 1, 3), {2, 1}),
                 reference::slice(b, 1, 2, 3), [](Complex x, Complex y) { return x + y * 0.5; });
    case 16:
      return zip(a, b,
                 [](Complex x, Complex y) { return x.real() > y.real() ? x * 0.5 : std::sin(y); });
    case 17:
      return zip(a, b, [](Complex x, Complex y) { return reference::gelu(x) * y; });
    case 18:
      return zip(a, b, [](Complex x, Complex y) {
        return (x.real() > y.real() ? x : y) - (x.real() < y.real() * 0.5 ? x : y * 0.5);
      });
    case 19:
      return zip(a, b, [](Complex x, Complex y) {
        const Complex s = x + y;
        return (s.real() < -0.75 ? -0.75
                : s.real() > 0.5 ? 0.5
                                 : s) +
               (y.real() > 0 ? y : 0.25 * y) * 0.5;
      });
    case 20:
      return map(reference::matmul(a, b), quarter);
    default:
      return zip(a, b, [](Complex x, Complex y) { return x.real() * 0.5 + y * 0.5; });
  }
}

class RandomGraph : public OnEachBackend {
 protected:
  struct Case {
    Graph graph;
    std::vector<Tensor> values;  // inputs, then results
    std::vector<Reals> inputs;
    std::vector<Step> steps;

    explicit Case(std::uint64_t seed) {
      Random random(seed);
      for (int k = 0; k < kInputs; ++k) {
        inputs.push_back(random.array({kSize, kSize}, -1, 1));
        const std::string name = "x" + std::to_string(k);
        values.push_back(k % 2 == 0 ? graph.placeholder(name, {kSize, kSize})
                                    : graph.variable(name, {kSize, kSize}, constant(0)));
      }
      steps = random_steps(random);
      for (const Step& step : steps) values.push_back(in_graph(step, values));
    }

    std::vector<ComplexArray> reference(const std::vector<ComplexArray>& x) const {
      std::vector<ComplexArray> all = x;
      for (const Step& step : steps) all.push_back(in_reference(step, all));
      return all;
    }

    void write_variables(Session& session) const {
      for (std::size_t k = 1; k < kInputs; k += 2)
        session.variables().write<float>("x" + std::to_string(k), floats(inputs[k]));
    }
  };

  // A value that was overwritten is wrong by its own size; roundings of 40 steps, each of which
  // may double an error for a while, stay far below this.
  static constexpr double kTolerance = 4096;  // ulps: 5e-4
};

TEST_P(RandomGraph, EveryFetchHasItsValue) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const Case c(seed);
    Random random(seed + 1000);
    std::vector<std::size_t> chosen;
    for (std::size_t k = kInputs; k < c.values.size(); ++k)
      if (random.integer(0, 6) == 0) chosen.push_back(k);
    chosen.push_back(c.values.size() - 1);
    // Feeds that no fetch needs are an error: fetch something of each.
    Tensor both = reduce_sum(c.values[0]) + reduce_sum(c.values[2]);
    std::vector<Tensor> fetches{both};
    for (const std::size_t k : chosen) fetches.push_back(c.values[k]);
    const std::vector<float> x0 = floats(c.inputs[0]), x2 = floats(c.inputs[2]);
    const std::vector<Feed> feeds{{c.values[0], x0}, {c.values[2], x2}};
    Session session(c.graph, backend_);
    c.write_variables(session);
    const auto expected = c.reference({c.inputs.begin(), c.inputs.end()});
    for (int run = 0; run < 2; ++run) {
      session.run(fetches, feeds);
      for (const std::size_t k : chosen)
        EXPECT_TRUE(close(session.read(c.values[k]), real(expected[k]), kTolerance)) << k;
    }
  }
}

TEST_P(RandomGraph, GradientsAndUpdatesMatchTheReference) {
  for (std::uint64_t seed = 101; seed <= 125; ++seed) {
    SCOPED_TRACE(seed);
    const Case c(seed);
    const auto loss_of = [&](const std::vector<ComplexArray>& x) {
      const auto all = c.reference(x);
      Complex sum = 0;
      for (std::size_t k = all.size() - 5; k < all.size(); ++k)
        for (const Complex& value : all[k].values) sum += value;
      return sum;
    };
    Tensor loss = reduce_sum(c.values.back());
    for (std::size_t k = 2; k <= 5; ++k) loss = loss + reduce_sum(c.values[c.values.size() - k]);
    const Tensor both = reduce_sum(c.values[0]) + reduce_sum(c.values[2]);
    const std::vector<Tensor> xs(c.values.begin(), c.values.begin() + kInputs);
    std::vector<Tensor> fetches = dense_gradients(loss, xs);
    const auto slopes = reference::complex_step(c.inputs, loss_of);
    bool trains = false;  // the optimiser refuses a loss that depends on no variable
    for (std::size_t k = 1; k < kInputs; k += 2)
      for (const double slope : slopes[k].values) trains = trains || slope != 0;
    if (trains) fetches.push_back(GradientDescentOptimizer(0.5).minimize(loss));
    fetches.push_back(both);
    const std::vector<float> x0 = floats(c.inputs[0]), x2 = floats(c.inputs[2]);
    const std::vector<Feed> feeds{{c.values[0], x0}, {c.values[2], x2}};
    Session session(c.graph, backend_);
    c.write_variables(session);
    session.run(fetches, feeds);
    for (std::size_t k = 0; k < xs.size(); ++k)
      EXPECT_TRUE(close(session.read(fetches[k]), slopes[k].values, kTolerance)) << k;
    for (std::size_t k = 1; k < kInputs && trains; k += 2) {
      std::vector<double> updated = c.inputs[k].values;
      for (std::size_t e = 0; e < updated.size(); ++e) updated[e] -= 0.5 * slopes[k].values[e];
      EXPECT_TRUE(
          close(session.variables().read<float>("x" + std::to_string(k)), updated, kTolerance))
          << k;
    }
  }
}

UNROLL_FOR_EACH_BACKEND(RandomGraph);

}  // namespace
}  // namespace unroll::test
