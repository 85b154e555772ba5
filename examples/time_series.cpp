/// A recurrent network learns a time series: 20 steps in, the same series one step later out, with
/// five ReLU units and one linear output. Usage: time_series [CHART.svg]
#include <cmath>
#include <cstdio>
#include <random>

#include "examples/common/line_chart.h"
#include "examples/common/run.h"
#include "unroll/unroll.h"

using namespace unroll;

namespace {

constexpr std::int64_t kSteps = 20, kBatch = 50, kUnits = 5;

/// Values at t = begin, begin + 0.1, ... for every beginning: [T, N, 1].
std::vector<float> series(const std::vector<float>& begins, float later = 0) {
  std::vector<float> values;
  for (std::int64_t k = 0; k < kSteps; ++k)
    for (const float begin : begins) {
      const float t = begin + later + 0.1F * float(k);
      values.push_back(t * std::sin(t) / 3 + 2 * std::sin(5 * t));
    }
  return values;
}

void learn(const std::string& chart) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kSteps, kOpen, 1});
  const Tensor y = graph.placeholder("y", {kSteps, kOpen, 1});
  const RecurrentSpec spec{.cell = CellKind::kRnnRelu, .hidden = {kUnits}};
  const auto rnn = recurrent(spec, {.x = x, .weights = recurrent_weights(graph, spec, 1)});
  const Tensor out = dense(rnn.y, 1, "projection");
  const Tensor cost = mean_squared_error(out, y);
  const Tensor step = AdamOptimizer(0.001).minimize(cost);

  Session session(graph, open_device().backend, 2);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> anywhere(0, 28);
  for (int iteration = 0; iteration <= 5'000; ++iteration) {
    std::vector<float> begins(kBatch);
    for (float& begin : begins) begin = anywhere(random);
    session.run({step, cost}, {{x, series(begins)}, {y, series(begins, 0.1F)}});
    if (iteration % 100 == 0)
      std::printf("iteration %4d  cost %.4f\n", iteration, session.read(cost)[0]);
  }
  const std::vector<float> said = session.evaluate(out, {{x, series({12.2F})}});
  const std::vector<float> now = series({12.2F}, 0.1F);
  write_line_chart(chart, "A time series, and what the network said one step before",
                   {{"series", {now.begin(), now.end()}}, {"network", {said.begin(), said.end()}}});
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, learn);
}
