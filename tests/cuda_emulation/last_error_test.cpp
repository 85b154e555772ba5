/// The last error of a thread: the emulation keeps it like CUDA, CUB takes it for its own, and no
/// error is left behind where a failure of ours is tolerated.
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "cuda/device/graph.h"
#include "cuda/device/launch.h"
#include "cuda/device/runtime.h"
#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/include/cub/cub.cuh"
#include "tests/cuda_emulation/test_kernels.h"

namespace unroll::test {
namespace {

class LastError : public ::testing::Test {
 protected:
  void SetUp() override { static_cast<void>(cudaGetLastError()); }  // of earlier tests

  /// A complete sort by CUB, like the one that begins an embedding's gradient.
  static cudaError_t sort() {
    const Array<std::uint32_t> keys({3, 1, 2}), sorted_keys(std::size_t{3});
    const Array<int> values({0, 1, 2}), sorted(std::size_t{3});
    const Array<std::byte> storage(std::size_t{4096});
    std::size_t bytes = 4096;
    const cudaError_t error = cub::DeviceRadixSort::SortPairs(
        storage.get(), bytes, keys.get(), sorted_keys.get(), values.get(), sorted.get(), 3);
    EXPECT_EQ(error == cudaSuccess, sorted.values() == (std::vector<int>{1, 2, 0}));
    return error;
  }

  static cudaError_t fail_to_launch() { return start(nullptr, 0, 1, barrier_after_return); }
};

TEST_F(LastError, IsTheThreadsAndStaysUntilItIsAskedFor) {
  EXPECT_EQ(fail_to_launch(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << "success does not clear it";
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
  cudaError_t of_another = cudaErrorUnknown;
  std::thread([&] { of_another = cudaGetLastError(); }).join();
  EXPECT_EQ(of_another, cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(LastError, OfAQueryThatIsNotReadyIsOneToo) {
  const gpu::Stream stream = gpu::make_stream();
  const Array<int> out(std::size_t{1});
  start(stream.get(), 1, 1, number_threads, out.get());
  EXPECT_EQ(cudaStreamQuery(stream.get()), cudaErrorNotReady);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNotReady);
}

TEST_F(LastError, IsTakenByCubForItsOwn) {
  std::size_t bytes = 0;
  int* const none = nullptr;
  fail_to_launch();
  EXPECT_EQ(cub::DeviceScan::InclusiveSum(nullptr, bytes, none, none, 5),
            cudaErrorInvalidConfiguration);
  EXPECT_EQ(sort(), cudaSuccess) << "it has been taken";
  fail_to_launch();
  EXPECT_EQ(sort(), cudaErrorInvalidConfiguration);
}

// After any failure the next sort on the thread succeeds.
TEST_F(LastError, DoesNotOutliveAFailureThatIsSurvived) {
  const gpu::Stream stream = gpu::make_stream();
  const Array<int> out(std::size_t{1});
  const std::function<void()> failures[] = {
      [&] { gpu::launch_cooperative(stream.get(), 10000, 64, 0, number_threads, out.get()); },
      [&] { gpu::launch(stream.get(), 0, 64, number_threads, out.get()); },
      [&] { gpu::allow_shared_memory(number_threads, 1 << 20); },
      // A capture that allocates is invalid: its end fails, too.
      [&] { gpu::capture(stream.get(), [] { gpu::make_device_memory(4); }); },
      [&] { gpu::capture(stream.get(), [] { gpu::make_pinned_memory(4); }); },
      // One that becomes invalid without an exception fails only at its end.
      [&] { gpu::capture(stream.get(), [] { gpu::forget_error(), cudaDeviceSynchronize(); }); },
      [&] { gpu::make_device_memory(std::size_t{1} << 60); },
  };
  for (const auto& failure : failures) {
    SCOPED_TRACE(&failure - failures);
    EXPECT_THROW(failure(), std::runtime_error);
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    EXPECT_EQ(sort(), cudaSuccess);
  }
  // A destructor only prints it.
  gpu::EventDeleter()(nullptr);
  EXPECT_EQ(sort(), cudaSuccess);
}

}  // namespace
}  // namespace unroll::test
