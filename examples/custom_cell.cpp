/// A recurrent cell of your own: the minimal gated unit (Zhou et al. 2016), which has one gate
/// where an LSTM has three. It learns the adding problem (Hochreiter & Schmidhuber 1997): in a
/// sequence of numbers two are marked, and the answer at the end is their sum.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "examples/common/run.h"
#include "unroll/unroll.h"

using namespace unroll;

namespace {

constexpr std::int64_t kSteps = 10, kBatch = 64, kUnits = 32;

/// (x_t [N, I], {h [N, kUnits]}) -> (h, {h}). Layers of one name share their weights, so every step
/// uses the same ones.
std::pair<Tensor, CellState> minimal_gated_unit(Tensor x, const CellState& state) {
  const Tensor h = state[0];
  const Tensor f = logistic(dense(concat({x, h}, 1), kUnits, "gate"));
  const Tensor candidate = tanh(dense(concat({x, f * h}, 1), kUnits, "candidate"));
  const Tensor next = (1 - f) * h + f * candidate;
  return {next, {next}};
}

struct Batch {
  std::vector<float> x = std::vector<float>(kSteps * kBatch * 2);  // [T, N, 2]: number, mark
  std::vector<float> sum = std::vector<float>(kBatch);             // [N, 1]
};

Batch make_batch(std::mt19937& random) {
  std::uniform_real_distribution<float> number(0, 1);
  std::uniform_int_distribution<std::size_t> early(0, kSteps / 2 - 1), late(kSteps / 2, kSteps - 1);
  Batch batch;
  for (std::size_t n = 0; n < kBatch; ++n) {
    for (std::size_t t = 0; t < kSteps; ++t) batch.x[(t * kBatch + n) * 2] = number(random);
    for (const std::size_t t : {early(random), late(random)}) {
      batch.x[(t * kBatch + n) * 2 + 1] = 1;
      batch.sum[n] += batch.x[(t * kBatch + n) * 2];
    }
  }
  return batch;
}

/// Every batch is new to the network. Always answering 1, the mean of the sums, has an error of
/// 1/6.
void train(const std::string&) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kSteps, kBatch, 2});
  const Tensor sum = graph.placeholder("sum", {kBatch, 1});
  const Unrolled network = unrolled(minimal_gated_unit, x, {graph.constant(0, {kBatch, kUnits})});
  const Tensor answer = dense(network.state[0], 1, "answer");
  const Tensor cost = mean_squared_error(answer, sum);
  const Tensor step = AdamOptimizer(0.01).minimize(cost);

  Session session(graph, open_device().backend);
  std::mt19937 random(1);
  float recent = 0;
  for (int batch = 1; batch <= 1'000; ++batch) {
    const Batch data = make_batch(random);
    session.run({step, cost}, {{x, data.x}, {sum, data.sum}});
    recent += session.read(cost)[0] / 200;
    if (batch % 200 != 0) continue;
    std::printf("batch %4d  mean squared error %.5f\n", batch, recent);
    recent = 0;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, train);
}
