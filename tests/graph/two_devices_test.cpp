/// Several GPUs in one program: CUDA has a current device for each thread, which users of the
/// engine need not know of.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/backends.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

/// A small recurrent regression, which has a product, kernels and a graph to replay in each step.
class Regression {
 public:
  explicit Regression(const std::shared_ptr<Backend>& backend) {
    const Tensor x = graph_.placeholder("x", {kSteps, kBatch, kInput});
    const RecurrentSpec spec{.cell = CellKind::kLstm, .hidden = {9}};
    const Initializer some = uniform(-0.5, 0.5);
    RecurrentInputs inputs;
    inputs.x = x;
    inputs.weights = recurrent_weights(graph_, spec, kInput,
                                       {.weight_ih = some, .weight_hh = some, .bias = some});
    const Tensor y = recurrent(spec, inputs).y;
    cost_ = reduce_mean(y * y);
    step_ = AdamOptimizer(0.01).minimize(cost_);
    session_ = std::make_unique<Session>(graph_, backend, 5);
    x_ = x;
  }

  void step() { session_->run(step_, {{x_, values_}}); }
  float loss() { return session_->evaluate(cost_, {{x_, values_}})[0]; }

 private:
  static constexpr std::int64_t kSteps = 3, kBatch = 2, kInput = 4;

  Graph graph_;
  Tensor x_, cost_, step_;
  std::unique_ptr<Session> session_;
  std::vector<float> values_ = std::vector<float>(kSteps * kBatch * kInput, 0.5F);
};

TEST(TwoDevicesCuda, TakeTurnsInOneThreadAndServeAnother) {
  std::string why;
  if (cuda_device_count(&why) < 2) GTEST_SKIP() << "no two CUDA devices " << why;
  const CudaOptions stepwise{.recurrent_algorithm = PassAlgorithm{}};
  Regression alone(cuda(0, stepwise));
  for (int k = 0; k < 4; ++k) alone.step();
  const float expected = alone.loss();

  Regression first(cuda(0, stepwise)), second(cuda(1, stepwise));
  for (int k = 0; k < 4; ++k) {
    first.step();
    if (k % 2 == 0)
      second.step();
    else  // which has never heard of a device
      std::thread([&] { second.step(); }).join();
  }
  EXPECT_EQ(first.loss(), expected);
  EXPECT_EQ(second.loss(), expected);
}

}  // namespace
}  // namespace unroll::test
