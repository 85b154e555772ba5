/// Gradients that vanish or explode (Bengio et al. 1994): the norm of v dh_T/dh_t, for a direction
/// v of length 1, against T - t. Clipping cuts it to 1 at every step. Usage: gradient_norms [SVG]
#include <cmath>
#include <cstdio>

#include "examples/common/line_chart.h"
#include "examples/common/run.h"
#include "unroll/unroll.h"

using namespace unroll;
constexpr std::int64_t kSteps = 60, kUnits = 64;

/// log10 of the norm for T - t = 0, 1, ..., kSteps. Recurrent weights are uniform in +-`largest`.
std::vector<double> norms(CellKind kind, double largest, bool clipped) {
  Graph graph;
  const RecurrentSpec spec{.cell = kind, .hidden = {kUnits}};
  const auto weights =
      recurrent_weights(graph, spec, kUnits, {.weight_hh = uniform(-largest, largest)});
  const int parts = kind == CellKind::kLstm ? 2 : 1;                  // an LSTM's state is h and c
  const Tensor x = dropout(graph.constant(1, {1, kUnits}), 0.5) - 1;  // random, for all steps
  std::vector<Tensor> states{graph.constant(0, {1, parts * kUnits})};
  for (std::int64_t t = 0; t < kSteps; ++t)
    states.push_back(concat(cell(spec, weights[0])(x, split(states.back(), parts, 1)).second, 1));
  Tensor v = graph.constant(1 / std::sqrt(double(kUnits * parts)), {1, kUnits * parts});
  std::vector<Tensor> lengths;
  for (std::size_t t = states.size(); t-- > 0;) {
    const Tensor length = sqrt(reduce_sum(v * v));
    lengths.push_back(clipped ? clip(length, 0, 1) : length);
    if (clipped) v = v / clip(length, 1, 1e30);
    if (t > 0) v = dense_gradients(reduce_sum(states[t] * stop_gradient(v)), {states[t - 1]})[0];
  }
  Session session(graph, open_device().backend, 1);
  session.run(lengths, {});
  std::vector<double> logs;
  for (const Tensor length : lengths) logs.push_back(std::log10(session.read(length)[0]));
  return logs;
}

void show(const std::string& chart) {
  std::vector<Line> lines;
  for (const bool clipped : {false, true}) {
    const std::string end = clipped ? ", clipped" : "";
    lines.push_back({"RNN, small weights" + end, norms(CellKind::kRnnTanh, 0.25, clipped)});
    lines.push_back({"RNN, large weights" + end, norms(CellKind::kRnnTanh, 0.6, clipped)});
    lines.push_back({"LSTM" + end, norms(CellKind::kLstm, 0.125, clipped)});
    lines.push_back({"GRU" + end, norms(CellKind::kGru, 0.125, clipped)});
  }
  for (const auto& [name, y, _] : lines)
    std::printf("%-27s T - t = 20: 10^%.1f, 40: 10^%.1f, 60: 10^%.1f\n", name.c_str(), y[20], y[40],
                y[60]);
  write_line_chart(chart, "log10 |v dh_T/dh_t| against T - t", lines);
}

int main(int argc, char** argv) {
  return run(argc, argv, show);
}
