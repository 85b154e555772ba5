/// Softmax regression: a linear model learns which of three clouds a point of the plane comes from.
/// The shortest program that builds a graph, trains it, and reads a result.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "unroll/unroll.h"

using namespace unroll;

namespace {

constexpr std::int64_t kPoints = 300, kFeatures = 2, kClasses = 3;

struct Points {
  std::vector<float> x;  // [kPoints, kFeatures]
  std::vector<float> y;  // [kPoints, kClasses]: 1 for the point's class, else 0
};

Points make_points() {
  constexpr float kCentres[kClasses][kFeatures] = {{2, 0}, {-1, 2}, {-1, -2}};
  std::mt19937 random(1);
  std::normal_distribution<float> noise;
  Points points;
  for (std::int64_t n = 0; n < kPoints; ++n) {
    const std::int64_t label = n % kClasses;
    for (const float centre : kCentres[label]) points.x.push_back(centre + noise(random));
    for (std::int64_t k = 0; k < kClasses; ++k) points.y.push_back(k == label ? 1.0F : 0.0F);
  }
  return points;
}

/// Returns the share of the points whose class the trained model finds.
float train(const Points& points) {
  Graph graph;
  const Tensor x = graph.placeholder("x", {kOpen, kFeatures});
  const Tensor y = graph.placeholder("y", {kOpen, kClasses});
  const Tensor p = softmax(dense(x, kClasses, "classifier"));
  const Tensor cost = reduce_mean(-reduce_sum(y * log(p), 1));
  const Tensor step = GradientDescentOptimizer(0.5).minimize(cost);

  Session session(graph, cpu());
  for (int epoch = 0; epoch <= 100; ++epoch) {
    session.run({step, cost}, {{x, points.x}, {y, points.y}});
    if (epoch % 20 == 0) std::printf("epoch %3d  cost %.4f\n", epoch, session.read(cost)[0]);
  }
  const Tensor best = cast(equal(p, reduce_max(p, 1, {.keep_dims = true})), DType::kFloat32);
  return session.evaluate(reduce_mean(reduce_sum(best * y, 1)), {{x, points.x}, {y, points.y}})[0];
}

}  // namespace

int main() {
  try {
    const float right = train(make_points());
    std::printf("%.1f %% of the points are classified right\n", 100 * right);
    std::string why;
    const int devices = cuda_device_count(&why);
    std::printf("GPUs: %d%s%s\n", devices, why.empty() ? "" : ", because ", why.c_str());
    return right > 0.9F ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
