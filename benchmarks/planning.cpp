/// What a large graph costs before its first run: a cell that is unrolled() over time, with its
/// gradient and an optimiser. Times are the processor's, of one thread, and do not depend on the
/// sizes of tensors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/program.h"
#include "host/bench/measure.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::benchmark {
namespace {

struct Options {
  std::vector<std::int64_t> steps{200, 1000, 5000};
  int samples = 5;
};

class ProcessorTime {
 public:
  double seconds() const { return double(std::clock() - start_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t start_ = std::clock();
};

struct Sample {
  double building = 0, gradients = 0, planning = 0, binding = 0;  // seconds
  std::size_t nodes = 0, arena = 0;                               // arena: bytes
};

Sample measure(CellKind kind, std::int64_t steps) {
  constexpr std::int64_t kBatch = 4, kInput = 16, kUnits = 16;
  Sample sample;
  Graph graph;
  const RecurrentSpec spec{.cell = kind, .hidden = {kUnits}};
  const ProcessorTime building;
  const Tensor x = graph.placeholder("x", {steps, kBatch, kInput});
  const Tensor zero = graph.constant(0, {kBatch, kUnits});
  const CellWeights weights = recurrent_weights(graph, spec, kInput).front();
  const Tensor y = unrolled(cell(spec, weights), x, CellState(spec.has_c() ? 2 : 1, zero)).y;
  const Tensor cost = reduce_mean(y * y);
  sample.building = building.seconds();

  const ProcessorTime gradients;
  const Tensor step = AdamOptimizer(1e-3).minimize(cost);
  sample.gradients = gradients.seconds();
  sample.nodes = graph.nodes().size();

  Session session(graph, cpu(1));
  const std::vector<float> values(std::size_t(x.shape().elements()));
  const std::vector<Tensor> fetches{step, cost};
  const std::vector<Feed> feeds{{x, values}};
  const ProcessorTime planning;
  sample.arena = session.required_bytes(fetches, feeds);
  sample.planning = planning.seconds();
  const ProcessorTime binding;
  session.prepare(fetches, feeds);
  sample.binding = binding.seconds();
  return sample;
}

double median_ms(const std::vector<Sample>& samples, double Sample::*time) {
  std::vector<double> seconds;
  for (const Sample& sample : samples) seconds.push_back(sample.*time);
  return spread_of(seconds).median * 1e3;
}

void run(const Options& o) {
  fmt::print("{:<12}{:>8}{:>10}{:>12}{:>15}{:>14}{:>13}{:>11}\n", "cell", "steps", "nodes",
             "build, ms", "gradients, ms", "planning, ms", "binding, ms", "arena, KB");
  for (const CellKind kind : {CellKind::kRnnTanh, CellKind::kLstm})
    for (const std::int64_t steps : o.steps) {
      std::vector<Sample> samples;
      for (int k = 0; k < o.samples; ++k) samples.push_back(measure(kind, steps));
      fmt::print("{:<12}{:>8}{:>10}{:>12.1f}{:>15.1f}{:>14.1f}{:>13.1f}{:>11}\n", to_string(kind),
                 steps, samples.front().nodes, median_ms(samples, &Sample::building),
                 median_ms(samples, &Sample::gradients), median_ms(samples, &Sample::planning),
                 median_ms(samples, &Sample::binding), samples.front().arena / 1024);
    }
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app(
      "Times building, differentiating and planning a graph of a cell unrolled over time.");
  app.add_option("--steps", options.steps, "timesteps, several with commas")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--samples", options.samples, "of which the median counts")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
