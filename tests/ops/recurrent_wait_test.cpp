/// A block of a persistent kernel waits for a value that never comes: the wait is given up, the
/// host is told, and no step uses the results of the kernel.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/cuda_emulation/calls.h"
#include "tests/support/backends.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/recurrent_kernel_run.h"

namespace unroll::test {
namespace {

// Only the emulated GPU can lose the value that a block publishes: here the second store of all.
TEST(RecurrentWait, OnCudaIsGivenUp) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = cuda(0, {.recurrent_algorithm = PassAlgorithm{.persistent = true}});
  if (!emulation::calls()) GTEST_SKIP() << "a GPU loses nothing";
  GuardedMemory memory(*backend);
  RecurrentCase c = recurrent_shape({24}, 1, 3, 5, 4, false);
  const auto data = recurrent_data(c, 85);
  KernelRun run(*backend, memory, c, data, true);
  EXPECT_NO_THROW(run.forward());

  const std::vector<float> before{1, 2, 3, 4};
  const ParameterUpdate update{.parameter = memory.inout(before, {4}),
                               .gradient = memory.inout<float>({1, 1, 1, 1}, {4})};
  const std::vector<std::int64_t> counted{0, 0, 0, 7, 0};
  const ApplyGradients step{
      .spec = {},
      .guard = {},
      .loss = memory.inout<float>({1}, {1}),
      .learning_rate = memory.inout<float>({0.5}, {1}),
      .counters = memory.inout(counted, {5}),
      .statistics = memory.inout<float>(std::vector<float>(9), {9}),
      .parameters = {&update, 1},
      .scratch = memory.raw(backend->apply_gradients_scratch_bytes({&update, 1}))};

  setenv("UNROLL_EMULATED_LOST_STORE", "2", 1);
  try {
    run.forward();
    ADD_FAILURE() << "nothing waited";
  } catch (const DeviceError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(" waited in vain for block "), text.npos) << text;
    EXPECT_NE(text.find(", which had published "), text.npos) << text;
    EXPECT_EQ(text.find('\n'), text.npos) << text;
  }
  unsetenv("UNROLL_EMULATED_LOST_STORE");

  backend->apply_gradients(step);
  std::vector<float> after(4);
  std::vector<std::int64_t> counters(5);
  const auto read = [&](void* host, const View& view) {
    EXPECT_THROW(backend->download(host, view.data, view.bytes()), DeviceError);  // still throws
  };
  read(after.data(), update.parameter);
  read(counters.data(), step.counters);
  EXPECT_EQ(after, before);
  EXPECT_EQ(counters, counted);
}

}  // namespace
}  // namespace unroll::test
