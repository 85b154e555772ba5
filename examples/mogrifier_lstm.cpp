/// The Mogrifier LSTM (Melis et al. 2020): before each step, input and state gate each other in
/// turn. It learns the adding problem (Hochreiter & Schmidhuber 1997): of the numbers of a sequence
/// two are marked, and the answer at the end is their sum.
#include <cstdio>
#include <random>

#include "examples/common/run.h"
#include "unroll/unroll.h"

using namespace unroll;
constexpr std::int64_t kSteps = 10, kBatch = 64, kInput = 2, kUnits = 24;

/// (x_t [N, kInput], {h, c}) -> (h, {h, c})
std::pair<Tensor, CellState> mogrifier_lstm(Tensor x, const CellState& state) {
  const auto gating = [](Tensor by, std::int64_t units, const char* name) {
    const Tensor weight = by.graph().variable(name, {units, by.shape().last()}, xavier());
    return 2 * logistic(matmul(by, weight, {.transpose_b = true}));
  };
  Tensor h = state[0];
  for (const char* round : {"round1", "round2", "round3", "round4", "round5"})
    if (round[5] % 2 == 1)
      x = gating(h, kInput, round) * x;
    else
      h = gating(x, kUnits, round) * h;
  const auto gates = split(dense(concat({x, h}, 1), 4 * kUnits, "gates"), 4, 1);  // i, f, g, o
  const Tensor c = logistic(gates[1]) * state[1] + logistic(gates[0]) * tanh(gates[2]);
  h = logistic(gates[3]) * tanh(c);
  return {h, {h, c}};
}

/// Always answering 1, the mean, has an error of 1/6.
void train(const std::string&) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kOpen, kBatch, kInput});  // number, mark
  const Tensor sum = reduce_sum(slice(x, 2, 0, 1) * slice(x, 2, 1), 0);
  const Tensor zero = graph.constant(0, {kBatch, kUnits});
  const Tensor answer = dense(scanned(mogrifier_lstm, x, {zero, zero}).state[0], 1, "answer");
  const Tensor cost = mean_squared_error(answer, sum);
  const Tensor step = AdamOptimizer(0.01).minimize(cost);
  Session session(graph, open_device().backend);
  std::mt19937 random(1);
  for (int batch = 1; batch <= 600; ++batch) {
    std::vector<float> in(kSteps * kBatch * kInput);
    for (std::size_t n = 0; n < kBatch; ++n) {
      const auto early = random() % (kSteps / 2), late = kSteps / 2 + random() % (kSteps / 2);
      for (std::size_t t = 0; t < kSteps; ++t) {
        float* const pair = &in[(t * kBatch + n) * kInput];
        pair[0] = float(random() >> 8) * 0x1p-24F;  // in [0, 1)
        pair[1] = t == early || t == late ? 1.0F : 0.0F;
      }
    }
    session.run({step, cost}, {{x, in}});
    if (batch % 100 == 0) std::printf("batch %3d  error %.5f\n", batch, session.read(cost)[0]);
  }
}

int main(int argc, char** argv) {
  return run(argc, argv, train);
}
