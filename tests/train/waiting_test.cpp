/// Between two lines of the log a run allocates nothing and does not wait for its device.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/cuda_emulation/calls.h"
#include "tests/support/backends.h"
#include "tests/support/recording_backend.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

class Waiting : public OnEachBackend {};

TEST_P(Waiting, StepsBetweenTwoLinesOfTheLogDoNotTouchTheHost) {
  const LanguageCorpus corpus = small_corpus();
  for (const LossReduction reduction : {LossReduction::kMean, LossReduction::kTime}) {
    const TempFolder folder;
    SmallOptions options = small_options(folder.path() / "run");
    options.batch = 2;
    options.bptt = 5;
    options.epochs = 1;
    options.log_interval = 60;
    options.reduction = reduction;
    // A rate that changes with every step is a number sent, and nothing to wait for.
    options.schedule.kind = ScheduleKind::kCosine;
    const auto backend = std::make_shared<RecordingBackend>(backend_);
    std::vector<std::array<int, 3>> calls;
    std::vector<emulation::Calls> cuda_calls;  // where CUDA is emulated, what the backend called
    train_small(corpus, small_model(corpus), options,
                {.backend = backend, .after_step = [&](std::int64_t) {
                   calls.push_back({backend->allocations, backend->downloads, backend->waits});
                   if (const emulation::Calls* now = emulation::calls()) cuda_calls.push_back(*now);
                 }});
    ASSERT_GT(calls.size(), 120U);
    EXPECT_EQ(calls[62], calls[112]);         // after the steps 63 and 113
    EXPECT_GT(calls[120][1], calls[112][1]);  // the line of step 120 was read
    EXPECT_EQ(calls[120][0], calls[112][0]);
    if (GetParam() == "Cpu" || cuda_calls.empty()) continue;
    const emulation::Calls &before = cuda_calls[62], &after = cuda_calls[112];
    EXPECT_EQ(after.malloc, before.malloc);
    EXPECT_EQ(after.free, before.free);
    EXPECT_EQ(after.queued.copy_to_host, before.queued.copy_to_host);
    EXPECT_EQ(after.stream_synchronize, before.stream_synchronize);
    EXPECT_EQ(after.device_synchronize, before.device_synchronize);
    EXPECT_EQ(after.event_synchronize, before.event_synchronize);
    EXPECT_EQ(after.graph_launch, before.graph_launch + 50);  // one for each step
  }
}

UNROLL_FOR_EACH_BACKEND(Waiting);

}  // namespace
}  // namespace unroll::test
