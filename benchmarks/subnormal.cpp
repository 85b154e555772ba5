/// What subnormal numbers cost: the CPU's kernels on normal numbers, and on such as are
/// subnormal or give subnormal results. Prints both times and their ratio; exit status 1 if a
/// ratio reaches --limit. Processors differ: where they are slow at all, it is by 2 to 200 times.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "benchmarks/program.h"
#include "host/bench/measure.h"
#include "unroll/math/philox.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::benchmark {
namespace {

struct Options {
  int threads = 1, samples = 15;
  double limit = 2;
};

std::vector<float> random_values(const Shape& shape, float size) {
  std::vector<float> values(std::size_t(shape.elements()));
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double u = double(math::philox_word(1, 0, k)) * 0x1p-31 - 1;
    values[k] = float(double(size) * u);
  }
  return values;
}

/// Two inputs in, one result: `make` builds a kernel's graph, whose inputs are then of sizes a, b.
struct Kernel {
  std::string name;
  Shape a, b;
  std::function<Tensor(Tensor a, Tensor b)> make;
};

/// What is fed: numbers up to these sizes.
struct Sizes {
  const char* name;
  float a, b;
};
constexpr Sizes kNormal{"normal", 1, 1};
constexpr Sizes kSmall[] = {{"a subnormal", 1e-40F, 1},
                            {"a and b subnormal", 1e-40F, 1e-40F},
                            {"products subnormal", 1e-20F, 1e-20F}};

double least_seconds(const Kernel& kernel, const Sizes& sizes, const Options& o) {
  Graph graph;
  const Tensor a = graph.placeholder("a", kernel.a), b = graph.placeholder("b", kernel.b);
  const Tensor result = kernel.make(a, b);
  Session session(graph, cpu(o.threads), 1);
  const std::vector<float> of_a = random_values(kernel.a, sizes.a),
                           of_b = random_values(kernel.b, sizes.b);
  double least = 1e9;
  for (int k = 0; k < o.samples; ++k) {
    const auto start = std::chrono::steady_clock::now();
    session.run(result, {{a, of_a}, {b, of_b}});
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    least = std::min(least, time.count());
  }
  return least;
}

/// a: x [T, N, H], b: h0 [1, N, H]. `backward`: the gradients of all weights, of the last output
/// only, which die out on the way to the first.
Tensor stack(CellKind cell, bool backward, Tensor x, Tensor h0) {
  Graph& graph = x.graph();
  const std::int64_t hidden = x.shape()[2];
  const RecurrentSpec spec{.cell = cell, .hidden = {hidden}};
  RecurrentInputs in{.x = x, .h0 = {h0}};
  if (cell == CellKind::kLstm) in.c0 = {h0};
  in.weights = recurrent_weights(
      graph, spec, hidden, {.weight_ih = uniform(-0.05, 0.05), .weight_hh = uniform(-0.05, 0.05)});
  const Tensor y = recurrent(spec, in).y;
  if (!backward) return y;
  return GradientDescentOptimizer(0).minimize(reduce_sum(slice(y, 0, -1)));
}

/// a: h [M, H]. Loss and gradients of a decoder.
Tensor decoder(Tensor a, Tensor b) {
  Graph& graph = a.graph();
  constexpr std::int64_t kWords = 1000;
  const Tensor weight = graph.variable("weight", {kWords, a.shape()[1]}, uniform(-9, 9));
  const Tensor bias = graph.variable("bias", {kWords}, constant(0));
  const Tensor targets = graph.variable("targets", {a.shape()[0]}, constant(0),
                                        {.trainable = false, .dtype = DType::kInt32});
  const Tensor loss = softmax_cross_entropy(a, {weight, bias}, targets).loss;
  return GradientDescentOptimizer(0).minimize(loss + reduce_sum(b));
}

/// Rows of which one has a gradient, a's.
Tensor update_rows(Tensor a, Tensor b) {
  Graph& graph = a.graph();
  const Tensor table = graph.variable("table", {1000, a.shape()[1]}, constant(0));
  const Tensor ids = graph.variable("ids", {a.shape()[0]}, constant(0),
                                    {.trainable = false, .dtype = DType::kInt32});
  return AdamOptimizer(0.1).minimize(reduce_sum(embedding(table, ids) * a) + reduce_sum(b));
}

/// The weight's gradient is a, and its slots take that up.
Tensor update(OptimizerKind kind, Tensor a, Tensor b) {
  const Tensor weight = a.graph().variable("weight", a.shape(), constant(0));
  return Optimizer({.kind = kind}, 0.1).minimize(reduce_sum(weight * a) + reduce_sum(b));
}

std::vector<Kernel> kernels() {
  const Shape million{1 << 20}, square{512, 512}, sequence{200, 8, 128}, state{1, 8, 128};
  std::vector<Kernel> all = {
      {"add", million, million, [](Tensor a, Tensor b) { return a + b; }},
      {"multiply", million, million, [](Tensor a, Tensor b) { return a * b; }},
      {"divide", million, million, [](Tensor a, Tensor b) { return a / (b + 2); }},
      {"tanh", million, {1}, [](Tensor a, Tensor b) { return tanh(a) * b; }},
      {"logistic", million, {1}, [](Tensor a, Tensor b) { return logistic(a * 100) * b; }},
      {"exp", million, {1}, [](Tensor a, Tensor b) { return exp(a * 50 - 50) * b; }},
      {"reduce_sum", square, {1}, [](Tensor a, Tensor b) { return reduce_sum(a, 0) * b; }},
      {"softmax", square, {1}, [](Tensor a, Tensor b) { return softmax(a * 50) * b; }},
      {"matmul", square, square, [](Tensor a, Tensor b) { return matmul(a, b); }},
      {"cross_entropy", square, {1}, decoder},
      {"adam of rows", square, {1}, update_rows},
      {"dropout", million, {1}, [](Tensor a, Tensor b) { return dropout(a, 0.5) * b; }},
  };
  for (const CellKind cell : {CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh})
    for (const bool backward : {false, true})
      all.push_back({to_string(cell) + (backward ? " backward" : " forward"), sequence, state,
                     [=](Tensor a, Tensor b) { return stack(cell, backward, a, b); }});
  for (const auto& [name, kind] :
       {std::pair{"sgd", OptimizerKind::kSgd}, std::pair{"momentum", OptimizerKind::kMomentum},
        std::pair{"rmsprop", OptimizerKind::kRmsProp}, std::pair{"adam", OptimizerKind::kAdam}})
    all.push_back(
        {name, million, {1}, [kind = kind](Tensor a, Tensor b) { return update(kind, a, b); }});
  return all;
}

void run(const Options& o) {
  double worst = 0;
  fmt::print("{:<20}{:<20}{:>12}{:>12}{:>8}\n", "kernel", "input", "normal, ms", "ms", "ratio");
  for (const Kernel& kernel : kernels()) {
    const double normal = least_seconds(kernel, kNormal, o);
    for (const Sizes& sizes : kSmall) {
      const double small = least_seconds(kernel, sizes, o);
      fmt::print("{:<20}{:<20}{:>12.3f}{:>12.3f}{:>8.2f}\n", kernel.name, sizes.name, normal * 1e3,
                 small * 1e3, small / normal);
      worst = std::max(worst, small / normal);
    }
  }
  if (worst >= o.limit)
    throw std::runtime_error(
        fmt::format("ratio: got {:.2f}, expected less than {:.2f}", worst, o.limit));
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app("Times the CPU's kernels on normal and on subnormal numbers.");
  app.add_option("--threads", options.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--samples", options.samples)->check(CLI::PositiveNumber);
  app.add_option("--limit", options.limit, "of the ratio");
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
