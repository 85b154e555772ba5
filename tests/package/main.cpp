/// Linear softmax regression on points from three overlapping clouds, with nothing but the
/// installed library. Prints the cost as it falls; fails if it does not.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "unroll/backend.h"
#include "unroll/graph.h"
#include "unroll/initializer.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/session.h"

namespace {

constexpr std::int64_t kPoints = 96, kFeatures = 3, kClasses = 3;
constexpr int kEpochs = 100, kReportEvery = 20;

struct Points {
  std::vector<float> x;  // [kPoints, kFeatures], the last feature 1
  std::vector<float> y;  // [kPoints, kClasses], one-hot
};

Points make_points() {
  constexpr float kCentre[kClasses][2] = {{2, 0}, {-1, 2}, {-1, -2}};
  std::mt19937 random(1);
  std::normal_distribution<float> noise;
  Points points;
  for (std::int64_t n = 0; n < kPoints; ++n) {
    const std::int64_t label = n % kClasses;
    for (const float centre : kCentre[label]) points.x.push_back(centre + noise(random));
    points.x.push_back(1);
    for (std::int64_t k = 0; k < kClasses; ++k) points.y.push_back(k == label ? 1.F : 0.F);
  }
  return points;
}

bool train() {
  const Points points = make_points();
  unroll::Graph graph;
  const unroll::Tensor x = graph.placeholder("x", {kPoints, kFeatures});
  const unroll::Tensor y = graph.placeholder("y", {kPoints, kClasses});
  const unroll::Tensor beta = graph.variable("beta", {kFeatures, kClasses}, unroll::uniform(-1, 1));
  const unroll::Tensor cost = reduce_mean(-reduce_sum(y * log(softmax(matmul(x, beta))), 1));
  const unroll::Tensor step = unroll::GradientDescentOptimizer(0.1).minimize(cost);

  unroll::Session session(graph, unroll::cpu());
  const unroll::Feed feeds[] = {{x, points.x}, {y, points.y}};
  const auto cost_now = [&] { return session.evaluate(cost, {feeds[0], feeds[1]}).front(); };
  float last = cost_now();
  std::printf("epoch %3d  cost %.6f\n", 0, static_cast<double>(last));
  for (int epoch = 1; epoch <= kEpochs; ++epoch) {
    session.run(step, {feeds[0], feeds[1]});
    if (epoch % kReportEvery != 0) continue;
    const float now = cost_now();
    std::printf("epoch %3d  cost %.6f\n", epoch, static_cast<double>(now));
    if (!(now < last)) return false;  // NaN is not less either
    last = now;
  }
  return true;
}

}  // namespace

int main() {
  try {
    if (!train()) {
      std::fputs("the cost did not fall\n", stderr);
      return 1;
    }
    std::string why;
    const int devices = unroll::cuda_device_count(&why);
    std::printf("CUDA devices: %d%s%s\n", devices, why.empty() ? "" : ", because ", why.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
