/// The work that a training step of a language model gives a GPU: the nodes of its graph, and other
/// queued work. Upper bounds by kind, so that no addition goes unnoticed. The emulated CUDA counts.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "host/models/language_model.h"
#include "tests/cuda_emulation/calls.h"
#include "tests/support/backends.h"
#include "unroll/session.h"

namespace unroll::test {
namespace {

/// The number of nodes of a graph for 5 timesteps, two LSTM layers and dropout. A call of cuBLAS or
/// CUB is one node here.
struct Nodes {
  std::int64_t units, kernels, library;
};
/// By form of kCudaForms. 16 units are aligned; 10 are padded, like 650 and 1500.
const std::map<std::string, std::vector<Nodes>> kMostNodes = {
    {"Cuda", {{16, 50, 33}, {10, 52, 33}}},
    {"CudaTf32", {{16, 50, 33}, {10, 52, 33}}},
    {"CudaWavefront", {{16, 40, 31}, {10, 42, 31}}},
    {"CudaBf16", {{16, 42, 31}, {10, 42, 31}}},
    {"CudaPersistent", {{16, 34, 13}, {10, 36, 13}}},
    {"CudaPersistentTf32", {{16, 34, 13}, {10, 36, 13}}},
    {"CudaPersistentBf16", {{16, 36, 13}, {10, 36, 13}}},
};

class StepCalls : public OnEachBackend {
 protected:
  void expect_at_most(const Nodes& most, const emulation::Calls& now);
};

void StepCalls::expect_at_most(const Nodes& most, const emulation::Calls& now) {
  constexpr std::int64_t kSteps = 5, kBatch = 2, kWords = 50;
  const LanguageModelTask task({{.vocabulary = kWords,
                                 .embedding = most.units,
                                 .hidden = {most.units, most.units},
                                 .dropout = 0.5}});
  const auto graph =
      task.training_graph({.batch = kBatch,
                           .optimizer = {.kind = OptimizerKind::kSgd, .clip_norm = 0.25F},
                           .learning_rate = 1});
  Session session(graph->graph, backend_, 1);
  const std::vector<std::int32_t> ids(std::size_t(kSteps * kBatch), 3);
  const Feed feeds[] = {
      {graph->inputs[0], std::span<const std::int32_t>(ids), Shape{kSteps, kBatch}},
      {graph->inputs[1], ids}};
  const auto run = [&] { session.run(std::span(&graph->step, 1), feeds); };
  for (int k = 0; k < 2; ++k) run();  // called, and then captured
  const emulation::Calls before = now;
  run();
  const emulation::Calls after = now;
  EXPECT_EQ(after.graph_launch - before.graph_launch, 1);
  EXPECT_LE(after.replayed.kernel - before.replayed.kernel, most.kernels);
  EXPECT_LE(after.replayed.library - before.replayed.library, most.library);
  EXPECT_EQ(after.replayed.all() - before.replayed.all(),
            after.replayed.kernel - before.replayed.kernel + after.replayed.library -
                before.replayed.library)
      << "copies or clears";
  // Besides the graph one upload: the number of the run, inputs, targets, each at a multiple of
  // 256.
  EXPECT_EQ(after.queued.copy_to_device - before.queued.copy_to_device, 1);
  EXPECT_EQ(after.queued.copy_within - before.queued.copy_within, 1);
  EXPECT_EQ(after.queued.all() - before.queued.all(), 2);
  EXPECT_EQ(after.event_record - before.event_record, 1);
  EXPECT_EQ(after.event_wait - before.event_wait, 1);
  EXPECT_EQ(after.bytes_to_device - before.bytes_to_device, 3 * 256);
  EXPECT_EQ(after.bytes_within - before.bytes_within, 3 * 256);
}

TEST_P(StepCalls, AreNoMore) {
  const emulation::Calls* const now = emulation::calls();
  if (!now) GTEST_SKIP() << "only the emulated CUDA counts";
  for (const Nodes& most : kMostNodes.at(GetParam())) {
    SCOPED_TRACE(most.units);
    expect_at_most(most, *now);
  }
}

INSTANTIATE_TEST_SUITE_P(On, StepCalls,
                         ::testing::Values("Cuda", "CudaTf32", "CudaWavefront", "CudaBf16",
                                           "CudaPersistent", "CudaPersistentTf32",
                                           "CudaPersistentBf16"),
                         backend_name);

}  // namespace
}  // namespace unroll::test
