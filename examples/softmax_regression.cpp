/// Softmax regression by gradient descent: a linear model learns the species of an iris from the
/// lengths and widths of its sepals and petals (Fisher 1936).
/// Usage: softmax_regression data/iris.csv
#include <cstdio>
#include <map>

#include "examples/common/run.h"
#include "examples/common/table.h"
#include "unroll/unroll.h"

using namespace unroll;

namespace {

constexpr std::int64_t kFeatures = 4, kClasses = 3;

struct Flowers {
  std::vector<float> x;               // [N, kFeatures], in centimetres
  std::vector<std::int64_t> species;  // [N]
};

Flowers read_flowers(const std::string& file) {
  Flowers flowers;
  std::map<std::string, std::int64_t> ids;
  for (const auto& row : read_table(file, ',', kFeatures + 1)) {
    if (row[0] == "sepal_length") continue;  // the columns' names
    for (std::size_t k = 0; k < kFeatures; ++k) flowers.x.push_back(std::stof(row.at(k)));
    flowers.species.push_back(ids.try_emplace(row.at(kFeatures), ids.size()).first->second);
  }
  return flowers;
}

/// Returns the share of the flowers whose species the trained model finds.
float train(const Flowers& flowers) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kOpen, kFeatures});
  const Tensor species = graph.placeholder("species", {kOpen}, DType::kInt64);
  const Tensor p = softmax(dense(x, kClasses, "classifier"));
  const Tensor cost = -reduce_mean(reduce_sum(one_hot(species, kClasses) * log(p), 1));
  const Tensor step = GradientDescentOptimizer(0.1).minimize(cost);
  const Tensor right = reduce_mean(cast(equal(argmax(p, 1), species), DType::kFloat32));

  Session session(graph, open_device().backend);
  for (int epoch = 0; epoch <= 1'000; ++epoch) {
    session.run({step, cost, right}, {{x, flowers.x}, {species, flowers.species}});
    if (epoch % 200 == 0) std::printf("epoch %4d  cost %.4f\n", epoch, session.read(cost)[0]);
  }
  return session.read(right)[0];
}

void learn(const std::string& file) {
  const float right = train(read_flowers(file));
  std::printf("%.1f %% of the flowers are named right\n", 100 * right);
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, learn);
}
