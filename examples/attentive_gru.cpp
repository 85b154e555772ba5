/// A GRU that attends to its past: every step looks up what it needs among all earlier states. The
/// task is recall: keys with a number each, then one of the keys again; the answer is its number.
#include <cstdio>
#include <random>

#include "examples/common/run.h"
#include "unroll/unroll.h"

using namespace unroll;
constexpr std::int64_t kKeys = 6, kSteps = kKeys + 1, kBatch = 64, kInput = kKeys + 1, kUnits = 32;

/// States: h [N, H] and the past [T, N, H], zero where it is still to come. Elements: x [N, I] and
/// the step's place in the past [T], one-hot.
ScanStep attentive_gru(const std::vector<Tensor>& states, const std::vector<Tensor>& elements) {
  const Tensor h = states[0], past = states[1], place = elements[1];
  const Tensor to_come = -1e9 * cumulative_sum(place, 0);
  const Tensor query = dense(concat({elements[0], h}, 1), kUnits, "query");
  const Tensor weight = softmax(transpose(reduce_sum(past * query, 2)) + to_come);  // [N, T]
  const Tensor found = reduce_sum(past * reshape(transpose(weight), {kSteps, kBatch, 1}), 0);
  const Tensor x = concat({elements[0], found}, 1);
  const auto gates = split(logistic(dense(concat({x, h}, 1), 2 * kUnits, "gates")), 2, 1);
  const Tensor r = gates[0], z = gates[1];
  const Tensor next = z * h + (1 - z) * tanh(dense(concat({x, r * h}, 1), kUnits, "candidate"));
  return {{next, past + reshape(place, {kSteps, 1, 1}) * next}, {}};
}

/// Always answering 0 has an error of 1/3.
void train(const std::string&) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kSteps, kBatch, kInput});  // one-hot key, number
  const Tensor number = graph.placeholder("number", {kBatch, 1});
  const Tensor count = cumulative_sum(graph.constant(1, {kSteps}), 0, {.exclusive = true});
  const Tensor h = graph.constant(0, {kBatch, kUnits}),
               past = graph.constant(0, {kSteps, kBatch, kUnits});
  const ScanResult out =
      scan(attentive_gru, {h, past}, {x, one_hot(cast(count, DType::kInt32), kSteps)});
  const Tensor cost = mean_squared_error(dense(out.states[0], 1, "answer"), number);
  const Tensor step = AdamOptimizer(0.005).minimize(cost);
  Session session(graph, open_device().backend);
  std::mt19937 random(1);
  for (int batch = 1; batch <= 500; ++batch) {
    std::vector<float> in(kSteps * kBatch * kInput), numbers(kBatch);
    for (std::size_t n = 0; n < kBatch; ++n) {
      const std::size_t shift = random() % kKeys, asked = random() % kKeys;
      for (std::size_t t = 0; t < kSteps; ++t) {
        float* const row = &in[(t * kBatch + n) * kInput];
        row[t == kKeys ? asked : (t + shift) % kKeys] = 1;
        row[kKeys] = t == kKeys ? 0 : float(random() >> 8) * 0x1p-23F - 1;  // in [-1, 1)
        if (row[asked] == 1) numbers[n] += row[kKeys];
      }
    }
    session.run({step, cost}, {{x, in}, {number, numbers}});
    if (batch % 100 == 0) std::printf("batch %3d  error %.5f\n", batch, session.read(cost)[0]);
  }
}

int main(int argc, char** argv) {
  return run(argc, argv, train);
}
