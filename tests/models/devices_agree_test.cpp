/// A language model trained on a GPU against the same model on the CPU: gradients from one state,
/// the losses of 200 steps, and the bits of two runs on the GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "host/models/language_model.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_variants.h"

namespace unroll::test {
namespace {

struct ModelCase {
  const char* name;
  CellKind cell;
  GruReset reset;
  std::int64_t embedding;
  std::vector<std::int64_t> hidden;
  bool tied;
  LstmVariant variant = {""};
};

/// Widths with and without padding, layers that form a wavefront and layers that do not, dense and
/// sparse gradients of the embedding, and an input without embedding.
const ModelCase kModels[] = {
    {"lstm", CellKind::kLstm, GruReset::kAfter, 24, {24, 24}, true},
    {"lstm of odd sizes", CellKind::kLstm, GruReset::kAfter, 13, {33, 33, 21}, false},
    {"gru after", CellKind::kGru, GruReset::kAfter, 10, {20, 20}, false},
    {"gru before", CellKind::kGru, GruReset::kBefore, 16, {16, 16}, true},
    {"rnn", CellKind::kRnnTanh, GruReset::kAfter, 0, {31, 32}, false},
    {"coupled", CellKind::kLstm, GruReset::kAfter, 20, {20, 20}, true, {"", InputGate::kCoupled}},
    {"capped", CellKind::kLstm, GruReset::kAfter, 20, {24, 31}, false, {"", InputGate::kCapped}},
    {"layer norm",
     CellKind::kLstm,
     GruReset::kAfter,
     21,
     {33, 21},
     true,
     {"", InputGate::kSeparate, true}},
    {"projected",
     CellKind::kLstm,
     GruReset::kAfter,
     24,
     {33, 40},
     true,
     {"", InputGate::kSeparate, false, 24}},
    {"all variants",
     CellKind::kLstm,
     GruReset::kAfter,
     13,
     {33, 40, 21},
     false,
     {"", InputGate::kCoupled, true, 17}},
};

constexpr std::int64_t kWords = 70, kBatch = 5, kSteps = 9;

LanguageModelConfig config_of(const ModelCase& c) {
  LanguageModelConfig config;
  config.cell = c.cell;
  config.reset = c.reset;
  config.vocabulary = kWords;
  config.embedding = c.embedding;
  config.hidden = c.hidden;
  config.tied = c.tied;
  config.dropout = 0.3;
  return c.cell == CellKind::kLstm ? with_variant(config, c.variant) : config;
}

std::vector<std::int32_t> words(std::int64_t first) {
  std::vector<std::int32_t> list;
  for (std::int64_t t = 0; t < kSteps; ++t)
    for (std::int64_t n = 0; n < kBatch; ++n)
      list.push_back(std::int32_t((first * kSteps + t) * (n + 1) % kWords));
  return list;
}

/// A model under training on one device.
class Training {
 public:
  Training(const ModelCase& c, std::shared_ptr<Backend> backend, const OptimizerSpec& optimizer,
           double rate)
      : graph_(LanguageModelTask(config_of(c))
                   .training_graph({.batch = kBatch,
                                    .optimizer = optimizer,
                                    .learning_rate = rate,
                                    .chunk_rows = 16})),
        session_(graph_->graph, std::move(backend), 5) {}

  float step(std::int64_t k) {
    const auto inputs = words(k), targets = words(k + 1);
    const Feed feeds[] = {
        {graph_->inputs[0], std::span<const std::int32_t>(inputs), Shape{kSteps, kBatch}},
        {graph_->inputs[1], std::span<const std::int32_t>(targets)}};
    session_.run(std::span(&graph_->step, 1), feeds);
    auto statistics = session_.variables().read<float>(Optimizer::kStatistics);
    const float loss = std::exchange(statistics[1], 0.0F);  // StepStatistics::loss_sum
    session_.variables().write<float>(Optimizer::kStatistics, std::span<const float>(statistics));
    return loss;
  }

  std::map<std::string, std::vector<float>> values() const {
    std::map<std::string, std::vector<float>> all;
    for (const Tensor& variable : graph_->graph.variables())
      if (variable.dtype() == DType::kFloat32)
        all[variable.name()] = session_.variables().read<float>(variable.name());
    return all;
  }

 private:
  std::unique_ptr<TrainingGraph> graph_;
  Session session_;
};

class DevicesAgree : public OnEachBackend {
 protected:
  bool takes(const ModelCase& c) const {
    const LstmVariant& v = c.variant;
    return why_not(backend_->recurrent_algorithm(), {.cell = c.cell,
                                                     .reset = c.reset,
                                                     .input_gate = v.input_gate,
                                                     .layer_norm = v.layer_norm,
                                                     .projection = v.projection})
        .empty();
  }
};

// One step of plain descent with rate 1 subtracts the gradient from each parameter, so the
// parameters show the gradients. A gradient element is a sum over T N tokens and, through the
// decoder, over V classes, of products whose roundings add like a random walk. The factors are
// below 1, and each token's loss is divided by T N. Twice sqrt(V) + sqrt(T N) ulps of the
// parameter's size bounds the error; a wrong gradient is off by a thousand times that. Layer norm
// divides W x of an embedding in +-0.1 by its deviation, some 0.1: eight times the bound.
TEST_P(DevicesAgree, OnTheGradientsOfOneState) {
  for (const ModelCase& c : kModels) {
    SCOPED_TRACE(c.name);
    if (!takes(c)) continue;
    const OptimizerSpec descent{.kind = OptimizerKind::kSgd};
    Training here(c, backend_, descent, 1), there(c, cpu(2), descent, 1);
    const float loss = here.step(0), expected_loss = there.step(0);
    EXPECT_NEAR(loss, expected_loss, 16 * kUlp * double(expected_loss));
    const auto values = here.values(), expected = there.values();
    const double ulps = (c.variant.layer_norm ? 8 : 1) * 2 *
                        (std::sqrt(double(kWords)) + std::sqrt(double(kSteps * kBatch)));
    for (const auto& [name, value] : values)
      EXPECT_TRUE(close(value, doubles(expected.at(name)), ulps)) << name;
  }
}

// Adam at 1e-3 is stable: after 200 steps the rounding errors of two devices have grown by a factor
// below 100, from about 1e-6 of the loss.
TEST_P(DevicesAgree, OnTheLossesOfTwoHundredSteps) {
  for (const ModelCase& c : {kModels[0], kModels[2]}) {
    SCOPED_TRACE(c.name);
    const OptimizerSpec adam{.kind = OptimizerKind::kAdam, .clip_norm = 1};
    Training here(c, backend_, adam, 1e-3), there(c, cpu(2), adam, 1e-3);
    float first = 0, last = 0;
    for (std::int64_t k = 0; k < 200; ++k) {
      last = here.step(k % 10);
      const float expected = there.step(k % 10);
      ASSERT_NEAR(last, expected, 1e-4 * double(expected)) << "step " << k;
      if (k == 0) first = last;
    }
    EXPECT_LT(last, first - 0.25F);  // so that the comparison means something
  }
}

TEST_P(DevicesAgree, OnEveryBitFromRunToRun) {
  for (const ModelCase& c : kModels) {
    SCOPED_TRACE(c.name);
    if (!takes(c)) continue;
    const OptimizerSpec adam{.kind = OptimizerKind::kAdam, .clip_norm = 0.25F};
    std::map<std::string, std::vector<float>> results[2];
    float losses[2]{};
    for (int run = 0; run < 2; ++run) {
      const std::shared_ptr<Backend> fresh =
          GetParam() == "Cpu" ? cpu(2) : cuda(0, kCudaForms.at(GetParam()));
      Training training(c, fresh, adam, 0.01);
      for (std::int64_t k = 0; k < 5; ++k) losses[run] = training.step(k);
      results[run] = training.values();
    }
    // From a gradient that is only a rounding error Adam makes a full step, but such a parameter
    // does not matter to the loss.
    EXPECT_NEAR(losses[0], losses[1], 1e-4 * double(losses[0]));
    if (!repeats_bits()) continue;
    for (const auto& [name, value] : results[0])
      EXPECT_TRUE(identical(value, results[1].at(name))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(On, DevicesAgree, ::testing::Values("Cuda", "CudaWavefront", "CudaCudnn"),
                         backend_name);

}  // namespace
}  // namespace unroll::test
