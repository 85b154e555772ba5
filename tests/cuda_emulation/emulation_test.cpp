/// The emulation of CUDA keeps CUDA's promises, and notices who relies on more than those.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/cuda_emulation/calls.h"
#include "tests/cuda_emulation/include/cub/cub.cuh"
#include "tests/cuda_emulation/include/cublas_v2.h"
#include "tests/cuda_emulation/include/cuda_bf16.h"
#include "tests/cuda_emulation/include/cuda_fp16.h"
#include "tests/cuda_emulation/include/mma.h"
#include "tests/cuda_emulation/test_kernels.h"

namespace unroll::test {
namespace {

/// Sets a variable of the environment for as long as it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

template <typename T>
class Array {
 public:
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  explicit Array(std::size_t count) : count_(count) {
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, count * sizeof(T)), cudaSuccess);
    data_ = static_cast<T*>(memory);
  }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  T* get() const { return data_; }
  /// After all work on every stream.
  std::vector<T> values() const {
    cudaDeviceSynchronize();
    std::vector<T> host(count_);
    cudaMemcpy(host.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    return host;
  }

 private:
  std::size_t count_;
  T* data_ = nullptr;
};

template <typename... Parameters, typename... Arguments>
cudaError_t start_with_shared(cudaStream_t stream, dim3 grid, dim3 block, std::size_t shared_bytes,
                              bool cooperative, void (*kernel)(Parameters...),
                              const Arguments&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = cooperative ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}
template <typename... Parameters, typename... Arguments>
cudaError_t start(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(Parameters...),
                  const Arguments&... arguments) {
  return start_with_shared(stream, grid, block, 0, false, kernel, arguments...);
}

std::vector<int> counting(int count, int first = 0) {
  std::vector<int> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

class InEveryOrder : public ::testing::TestWithParam<const char*> {
  Environment order_{"UNROLL_EMULATED_ORDER", GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Emulation, InEveryOrder,
                         ::testing::Values("forward", "reverse", "random:1", "random:2"));

TEST_P(InEveryOrder, EveryThreadRunsOnce) {
  for (const dim3 grid : {dim3(1), dim3(7, 2, 3), dim3(2, 3000)})
    for (const dim3 block : {dim3(1), dim3(5, 3, 2), dim3(33)}) {
      const unsigned count = grid.x * grid.y * grid.z * block.x * block.y * block.z;
      const Array<int> out(std::vector<int>(count, 0));
      ASSERT_EQ(start(nullptr, grid, block, number_threads, out.get()), cudaSuccess);
      EXPECT_EQ(out.values(), counting(int(count)));
    }
}

TEST_P(InEveryOrder, BarrierOrdersSharedMemory) {
  const Array<int> in(counting(3 * kReverseThreads)), out(std::size_t{3 * kReverseThreads});
  start(nullptr, 3, kReverseThreads, reverse, in.get(), out.get(), true);
  const std::vector<int> values = out.values();
  for (int k = 0; k < 3 * kReverseThreads; ++k) {
    const int within = k % kReverseThreads;
    EXPECT_EQ(values[std::size_t(k)], k - within + kReverseThreads - 1 - within);
  }
}

TEST(Emulation, ARaceShowsInTheOrder) {
  const Array<int> in(counting(2 * kReverseThreads)), out(std::size_t{2 * kReverseThreads});
  std::vector<std::vector<int>> results;
  for (const char* order : {"forward", "reverse"}) {
    const Environment environment("UNROLL_EMULATED_ORDER", order);
    start(nullptr, 2, kReverseThreads, reverse, in.get(), out.get(), false);
    results.push_back(out.values());
  }
  EXPECT_NE(results[0], results[1]);
}

TEST_P(InEveryOrder, WarpFunctionsAgreeWithTheirDefinitions) {
  for (const int width : {32, 8}) {
    const Array<int> in(counting(64)), out(std::size_t{8 * 64});
    start(nullptr, 1, 64, warp_functions, in.get(), out.get(), width);
    const std::vector<int> values = out.values();
    for (int k = 0; k < 64; ++k) {
      const int first = k / width * width, end = first + width;
      const int warp_end = k / 32 * 32 + 32;
      const int* const results = &values[std::size_t(8 * k)];
      EXPECT_EQ(results[0], first + 5);
      EXPECT_EQ(results[1], k ^ 3);
      EXPECT_EQ(results[2], k + 2 < end ? k + 2 : k);
      EXPECT_EQ(results[3], k - 1 >= first ? k - 1 : k);
      EXPECT_EQ(std::uint32_t(results[4]), k < 32 ? 0xFFE00000U : 0xFFFFFFFFU);
      EXPECT_EQ(results[5], k >= 32);
      EXPECT_EQ(results[6], k < 32);
      EXPECT_EQ(results[7], (warp_end - 1) / 2);
    }
  }
}

TEST_P(InEveryOrder, PartsOfAWarpExchangeApart) {
  const Array<int> in(counting(64)), out(std::size_t{64});
  start(nullptr, 1, 64, exchange_in_pairs, in.get(), out.get());
  const std::vector<int> values = out.values();
  for (int k = 0; k < 64; ++k) EXPECT_EQ(values[std::size_t(k)], k ^ 1);
}

TEST_P(InEveryOrder, AWarpDoesNotWaitForWhoReturned) {
  const Array<int> in(counting(32)), out(std::vector<int>(32, -1));
  start(nullptr, 1, 32, sum_after_return, in.get(), out.get());
  const std::vector<int> values = out.values();
  for (int k = 0; k < 32; ++k) EXPECT_EQ(values[std::size_t(k)], k < 20 ? 190 : -1);
}

TEST_P(InEveryOrder, BlockReduceAndBlockScan) {
  const Array<int> in(counting(kPrimitiveThreads, 1)), out(std::size_t{4 + 2 * kPrimitiveThreads});
  start(nullptr, 1, kPrimitiveThreads, block_primitives, in.get(), out.get());
  const std::vector<int> values = out.values();
  const int sum = kPrimitiveThreads * (kPrimitiveThreads + 1) / 2;
  EXPECT_EQ(values[0], sum);
  EXPECT_NE(values[1], sum) << "thread 0 alone gets the sum";
  EXPECT_EQ(values[2], kPrimitiveThreads);
  EXPECT_EQ(values[3], sum);
  for (int k = 0; k < kPrimitiveThreads; ++k) {
    EXPECT_EQ(values[std::size_t(4 + k)], (k + 1) * (k + 2) / 2);
    EXPECT_EQ(values[std::size_t(4 + kPrimitiveThreads + k)], k * (k + 1) / 2);
  }
}

/// The states of exchange_states(), and a launch of it that goes on where the last one ended.
struct Exchange {
  explicit Exchange(unsigned blocks_)
      : blocks(blocks_), flags(std::vector<std::uint32_t>(blocks_, 0)), states(before()) {}
  std::vector<std::uint32_t> before() const {
    std::vector<std::uint32_t> values(std::size_t{2} * blocks, 12345);
    std::iota(values.begin(), values.begin() + blocks, 3U);
    return values;
  }
  cudaError_t run(int rounds, ExchangeFault fault = ExchangeFault::kNone, unsigned threads = 70,
                  cudaStream_t stream = nullptr, bool cooperative = true) const {
    return start_with_shared(stream, blocks, threads, blocks * sizeof(std::uint32_t), cooperative,
                             exchange_states, flags.get(), states.get(), rounds, fault);
  }
  /// After an even number of rounds.
  std::vector<std::uint32_t> expected(int rounds) const {
    std::vector<std::uint32_t> now = before();
    for (int round = 0; round < rounds; ++round) {
      const std::uint32_t* const from = &now[std::size_t(round % 2) * blocks];
      std::uint32_t* const to = &now[std::size_t((round + 1) % 2) * blocks];
      for (unsigned k = 0; k < blocks; ++k) {
        to[k] = k;
        for (unsigned other = 0; other < blocks; ++other) to[k] += from[other] * (2 * other + 1);
      }
    }
    return now;
  }
  /// Whether a fault shows.
  bool differs(ExchangeFault fault) const {
    constexpr int kRounds = 4;
    cudaMemcpy(states.get(), before().data(), before().size() * 4, cudaMemcpyHostToDevice);
    EXPECT_EQ(run(kRounds, fault), cudaSuccess);
    return states.values() != expected(kRounds);
  }

  unsigned blocks;
  Array<std::uint32_t> flags, states;
};

TEST_P(InEveryOrder, CooperatingBlocksSeeEachOther) {
  for (const unsigned blocks : {1U, 5U, 16U, 40U})
    for (const unsigned threads : {8U, 70U, 256U}) {
      const Exchange exchange(blocks);
      EXPECT_EQ(exchange.run(4, ExchangeFault::kNone, threads), cudaSuccess);
      EXPECT_EQ(exchange.run(6, ExchangeFault::kNone, threads), cudaSuccess);
      EXPECT_EQ(exchange.states.values(), exchange.expected(10)) << blocks << " of " << threads;
      EXPECT_EQ(exchange.flags.values(), std::vector<std::uint32_t>(blocks, 10));
    }
}

TEST_P(InEveryOrder, CountsOfExchangesWrapAround) {
  const Exchange exchange(5);
  cudaMemset(exchange.flags.get(), 0xFF, 5 * sizeof(std::uint32_t));
  EXPECT_EQ(exchange.run(4), cudaSuccess);
  EXPECT_EQ(exchange.states.values(), exchange.expected(4));
}

TEST(Emulation, FaultsOfAnExchangeShowInTheOrder) {
  for (const auto fault : {ExchangeFault::kDoesNotAwait, ExchangeFault::kOneBuffer}) {
    int shown = 0;
    for (const char* order : {"forward", "reverse", "random:1"}) {
      const Environment environment("UNROLL_EMULATED_ORDER", order);
      const Exchange exchange(5);
      EXPECT_FALSE(exchange.differs(ExchangeFault::kNone)) << order;
      shown += exchange.differs(fault);
    }
    EXPECT_GT(shown, 0) << int(fault);
  }
}

TEST(EmulationDeathTest, NamesBlocksThatWaitForEver) {
  const Exchange exchange(5);
  const auto run = [&](ExchangeFault fault, bool cooperative) {
    exchange.run(4, fault, 64, nullptr, cooperative);
    cudaDeviceSynchronize();
  };
  EXPECT_DEATH(
      run(ExchangeFault::kDoesNotPublish, true),
      "synccheck: kernel .*, block \\(0,0,0\\): the blocks wait for each other for ever: of "
      "this one 63 of 64 threads wait in __syncthreads\\(\\), 0 have returned, 1 wait for "
      "other blocks");
  EXPECT_DEATH(run(ExchangeFault::kNone, false),
               "waits for another block in a launch that is not cooperative");
}

TEST_P(InEveryOrder, DynamicSharedMemoryIsTheBlocksOwn) {
  constexpr unsigned kBlocks = 9;
  for (const bool cooperative : {false, true}) {
    const Array<std::uint32_t> out{std::size_t{kBlocks}};
    EXPECT_EQ(
        start_with_shared(nullptr, kBlocks, 1, 40, cooperative, use_dynamic_shared, out.get(), 9),
        cudaSuccess);
    EXPECT_EQ(out.values(), std::vector<std::uint32_t>(kBlocks, 0xFFFFFFFF));
  }
}

TEST(EmulationDeathTest, SharedMemoryIsUsedAsAllowed) {
  const Array<std::uint32_t> out{std::size_t{2}};
  const auto run = [&](std::size_t shared_bytes, bool cooperative) {
    start_with_shared(nullptr, 2, 1, shared_bytes, cooperative, use_dynamic_shared, out.get(), 9);
    cudaDeviceSynchronize();
  };
  EXPECT_DEATH(run(36, false),
               "block \\(0,0,0\\): wrote past its 36 bytes of dynamic shared memory");
  EXPECT_DEATH(run(36, true), "wrote past its 36 bytes of dynamic shared memory");
  EXPECT_DEATH(run(0, false), "launched without dynamic shared memory");
  EXPECT_DEATH(
      {
        start_with_shared(nullptr, 2, 1, 0, true, static_shared_in_turns, out.get());
        cudaDeviceSynchronize();
      },
      "has static shared memory");
}

TEST(Emulation, RefusesBlocksThatDoNotFit) {
  constexpr int kMost = 227 << 10;
  int processors = 0, shared = 0, resident = 0;
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0);
  cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0);
  EXPECT_EQ(shared, kMost);
  const auto fits = [&](unsigned threads, std::size_t shared_bytes) {
    EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, use_dynamic_shared,
                                                            int(threads), shared_bytes),
              cudaSuccess);
    return resident;
  };
  const auto run = [&](int blocks, unsigned threads, std::size_t shared_bytes) {
    const Array<std::uint32_t> out{std::size_t(blocks)};
    const cudaError_t error = start_with_shared(nullptr, unsigned(blocks), threads, shared_bytes,
                                                true, use_dynamic_shared, out.get(), 0);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    return error;
  };
  EXPECT_EQ(fits(256, 0), 4);
  EXPECT_EQ(fits(256, 48 << 10), 4);
  EXPECT_EQ(fits(256, (48 << 10) + 1), 0);
  EXPECT_EQ(run(1, 256, (48 << 10) + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(use_dynamic_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 kMost + 1),
            cudaErrorInvalidValue);
  EXPECT_EQ(
      cudaFuncSetAttribute(use_dynamic_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, kMost),
      cudaSuccess);
  EXPECT_EQ(fits(256, kMost), 1);
  EXPECT_EQ(run(processors, 256, kMost), cudaSuccess);
  EXPECT_EQ(run(processors + 1, 256, kMost), cudaErrorCooperativeLaunchTooLarge);
  EXPECT_EQ(run(4 * processors, 256, 4), cudaSuccess);
  EXPECT_EQ(run(4 * processors + 1, 256, 4), cudaErrorCooperativeLaunchTooLarge);
  cudaGetLastError();
}

TEST(EmulationDeathTest, NamesThreadsThatWaitForEver) {
  const auto run = [](unsigned threads, void (*kernel)()) {
    start(nullptr, 2, threads, kernel);
    cudaDeviceSynchronize();
  };
  EXPECT_DEATH(run(64, barrier_after_return),
               "synccheck: kernel .*, block \\(0,0,0\\): 63 of 64 threads wait in "
               "__syncthreads\\(\\), 1 have returned");
  EXPECT_DEATH(run(64, barrier_or_shuffle), "2 of 64 threads wait.*31 of warp 1 wait for others");
  EXPECT_DEATH(run(32, shuffle_from_absent_lane), "reads lane 7, which does not take part");
  EXPECT_DEATH(run(32, shuffle_with_different_masks), "with different masks");
  EXPECT_DEATH(run(32, shuffle_outside_mask), "thread 1 is not in the mask");
}

#if defined(__SANITIZE_ADDRESS__)
TEST(EmulationDeathTest, AddressSanitizerSeesDeviceMemory) {
  const Array<float> out(std::size_t{100});
  EXPECT_DEATH(
      {
        start(nullptr, 1, 128, scale_and_add, out.get(), 101, 1.0F, 1.0F);
        cudaDeviceSynchronize();
      },
      "heap-buffer-overflow");
}
#endif

TEST(Emulation, RefusesLaunchesThatNoGpuTakes) {
  for (const dim3 block : {dim3(0), dim3(1025), dim3(32, 33), dim3(1, 1, 65)})
    EXPECT_EQ(start(nullptr, 1, block, barrier_after_return), cudaErrorInvalidConfiguration);
  for (const dim3 grid : {dim3(0), dim3(1, 65536), dim3(1, 1, 65536)})
    EXPECT_EQ(start(nullptr, grid, 1, barrier_after_return), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(Emulation, MemoryIsBoundedAndNotANumber) {
  const Environment limit("UNROLL_EMULATED_MEMORY", "10000");
  std::size_t available = 0, total = 0;
  const Array<float> some(std::size_t{2000});
  cudaMemGetInfo(&available, &total);
  EXPECT_EQ(total, 10000U);
  EXPECT_EQ(available, 2000U);
  EXPECT_TRUE(std::isnan(some.values()[1999]));
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 2001), cudaErrorMemoryAllocation);
  EXPECT_EQ(more, nullptr);
  EXPECT_EQ(cudaMalloc(&more, 2000), cudaSuccess);
  EXPECT_EQ(cudaFree(more), cudaSuccess);
  EXPECT_EQ(cudaFree(&total), cudaErrorInvalidValue);
}

/// Streams, events and pinned memory of one test.
class EmulatedStreams : public ::testing::Test {
 protected:
  EmulatedStreams() {
    cudaStreamCreateWithFlags(&first_, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&second_, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&fork_, cudaEventDisableTiming);
    cudaEventCreateWithFlags(&join_, cudaEventDisableTiming);
    void* memory = nullptr;
    cudaMallocHost(&memory, sizeof(float));
    pinned_ = static_cast<float*>(memory);
  }
  ~EmulatedStreams() override {
    cudaFreeHost(pinned_);
    cudaEventDestroy(fork_);
    cudaEventDestroy(join_);
    cudaStreamDestroy(first_);
    cudaStreamDestroy(second_);
  }
  cudaError_t apply(cudaStream_t stream, float scale, float value) {
    return start(stream, 1, 1, scale_and_add, value_.get(), 1, scale, value);
  }
  cudaError_t end_capture(std::size_t* nodes) {
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(first_, &graph);
    if (error != cudaSuccess) return error;
    cudaGraphGetNodes(graph, nullptr, nodes);
    EXPECT_EQ(cudaGraphInstantiate(&exec_, graph), cudaSuccess);
    return cudaGraphDestroy(graph);
  }

  const Array<float> value_{std::vector<float>{1}};
  cudaStream_t first_ = nullptr, second_ = nullptr;
  cudaEvent_t fork_ = nullptr, join_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
  float* pinned_ = nullptr;
};

TEST_F(EmulatedStreams, PinnedMemoryIsCopiedLate) {
  *pinned_ = 5;
  cudaMemcpyAsync(value_.get(), pinned_, sizeof(float), cudaMemcpyHostToDevice, first_);
  *pinned_ = 6;  // too early: this is what the device gets
  apply(first_, 2, 0);
  cudaMemcpyAsync(pinned_, value_.get(), sizeof(float), cudaMemcpyDeviceToHost, first_);
  EXPECT_EQ(*pinned_, 6);
  EXPECT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  EXPECT_EQ(*pinned_, 12);
}

TEST_F(EmulatedStreams, OtherMemoryIsReadAtOnce) {
  float host = 5;
  cudaMemcpyAsync(value_.get(), &host, sizeof host, cudaMemcpyHostToDevice, first_);
  host = 6;
  cudaMemcpyAsync(&host, value_.get(), sizeof host, cudaMemcpyDeviceToHost, first_);
  EXPECT_EQ(host, 5);
}

TEST_F(EmulatedStreams, CopiesStayWithinAllocations) {
  float host[2] = {};
  EXPECT_EQ(cudaMemcpy(value_.get(), host, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, value_.get() + 1, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host, 0, 4), cudaErrorInvalidValue);
}

TEST_F(EmulatedStreams, AnEventOrdersTwoStreams) {
  apply(first_, 1, 1);
  cudaEventRecord(fork_, first_);
  apply(first_, 1, 100);
  cudaStreamWaitEvent(second_, fork_);
  apply(second_, 10, 0);
  cudaEventRecord(join_, second_);
  EXPECT_EQ(cudaEventSynchronize(join_), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(fork_), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(first_), cudaErrorNotReady) << "nobody waited for the second addition";
  EXPECT_EQ(value_.values()[0], 120);
}

TEST_F(EmulatedStreams, WhoAsksAgainAndAgainGetsOn) {
  apply(first_, 1, 1);
  cudaEventRecord(fork_, first_);
  int asked = 0;
  while (cudaEventQuery(fork_) == cudaErrorNotReady) ++asked;
  EXPECT_EQ(asked, 2);
}

TEST_F(EmulatedStreams, ACaptureIsReplayedAndCounted) {
  const emulation::Calls before = *unroll_emulated_calls();
  cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal);
  apply(first_, 2, 0);
  apply(first_, 1, 1);
  std::size_t nodes = 0;
  EXPECT_EQ(end_capture(&nodes), cudaSuccess);
  EXPECT_EQ(nodes, 2U);
  EXPECT_EQ(value_.values()[0], 1) << "a capture runs nothing";
  for (int k = 0; k < 3; ++k) EXPECT_EQ(cudaGraphLaunch(exec_, first_), cudaSuccess);
  apply(first_, 1, 0);
  EXPECT_EQ(value_.values()[0], 15);
  const emulation::Calls& after = *unroll_emulated_calls();
  EXPECT_EQ(after.kernel_launch - before.kernel_launch, 1);
  EXPECT_EQ(after.graph_launch - before.graph_launch, 3);
  EXPECT_EQ(after.copy_to_host - before.copy_to_host, 2);
  EXPECT_EQ(after.device_synchronize - before.device_synchronize, 2);
  cudaGraphExecDestroy(exec_);
}

TEST_F(EmulatedStreams, ACooperativeLaunchIsReplayed) {
  const Exchange exchange(5);
  cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal);
  EXPECT_EQ(exchange.run(4, ExchangeFault::kNone, 64, first_), cudaSuccess);
  std::size_t nodes = 0;
  EXPECT_EQ(end_capture(&nodes), cudaSuccess);
  EXPECT_EQ(nodes, 1U);
  for (int k = 0; k < 2; ++k) EXPECT_EQ(cudaGraphLaunch(exec_, first_), cudaSuccess);
  EXPECT_EQ(exchange.states.values(), exchange.expected(8));
  cudaGraphExecDestroy(exec_);
}

TEST_F(EmulatedStreams, WaitingInACaptureSpoilsIt) {
  const auto refused = [&](auto call) {
    cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal);
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    std::size_t nodes = 0;
    EXPECT_EQ(end_capture(&nodes), cudaErrorStreamCaptureInvalidated);
  };
  void* memory = nullptr;
  float host = 0;
  refused([&] { return cudaMalloc(&memory, 4); });
  refused([&] { return cudaFree(value_.get()); });
  refused([&] { return cudaStreamSynchronize(first_); });
  refused([&] { return cudaStreamSynchronize(second_); });
  refused([&] { return cudaDeviceSynchronize(); });
  refused([&] { return cudaEventSynchronize(fork_); });
  refused([&] { return cudaMemcpy(&host, value_.get(), 4, cudaMemcpyDeviceToHost); });
}

TEST_F(EmulatedStreams, ACaptureForksAndJoins) {
  for (const bool joined : {false, true}) {
    cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal);
    apply(first_, 0, 3);
    cudaEventRecord(fork_, first_);
    cudaStreamWaitEvent(second_, fork_);
    apply(second_, 2, 0);
    cudaEventRecord(join_, second_);
    if (joined) cudaStreamWaitEvent(first_, join_);
    if (joined) apply(first_, 1, 1);
    std::size_t nodes = 0;
    EXPECT_EQ(end_capture(&nodes), joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
  }
  for (const char* order : {"forward", "reverse", "random:3"}) {
    const Environment environment("UNROLL_EMULATED_ORDER", order);
    cudaGraphLaunch(exec_, first_);
    EXPECT_EQ(value_.values()[0], 7);
  }
  cudaGraphExecDestroy(exec_);
}

TEST_F(EmulatedStreams, AMissingDependencyShowsInTheOrder) {
  cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal);
  apply(first_, 0, 3);
  cudaEventRecord(fork_, first_);
  cudaStreamWaitEvent(second_, fork_);
  apply(second_, 2, 0);
  apply(first_, 1, 1);  // should have waited for `join_`
  cudaEventRecord(join_, second_);
  cudaStreamWaitEvent(first_, join_);
  std::size_t nodes = 0;
  ASSERT_EQ(end_capture(&nodes), cudaSuccess);
  cudaGraphLaunch(exec_, first_);
  EXPECT_EQ(value_.values()[0], 7);
  const Environment environment("UNROLL_EMULATED_ORDER", "reverse");
  cudaGraphLaunch(exec_, first_);
  EXPECT_EQ(value_.values()[0], 8);
  cudaGraphExecDestroy(exec_);
}

TEST(Emulation, RoundsToBfloat16AsCudaDoes) {
  const auto rounded = [](float x) { return __bfloat162float(__float2bfloat16(x)); };
  EXPECT_EQ(rounded(1 + 1.0F / 256), 1);  // half way, to even
  EXPECT_EQ(rounded(1 + 3.0F / 256), 1 + 4.0F / 256);
  EXPECT_EQ(rounded(1 + 1.01F / 256), 1 + 2.0F / 256);
  EXPECT_EQ(rounded(-3.4e38F), -INFINITY);
  EXPECT_EQ(rounded(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(rounded(NAN)));
  EXPECT_TRUE(std::signbit(rounded(-0.0F)));
}

struct GemmCase {
  int m, n, k, batch;
  bool transpose_a, transpose_b;
  float beta;
  cublasComputeType_t compute;
  bool bfloat16;
};

/// The largest difference from float64, in units of what rounding may cost: one of float32 for each
/// term and sum, and that of the operands.
double gemm_error(const GemmCase& c) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const int lda = (c.transpose_a ? c.k : c.m) + 3, ldb = (c.transpose_b ? c.n : c.k) + 1;
  const int ldc = c.m + 2;
  const int stride_a = lda * (c.transpose_a ? c.m : c.k) + 5;
  const int stride_b = ldb * (c.transpose_b ? c.k : c.n), stride_c = ldc * c.n + 1;
  const auto draw = [&](int stride) {
    std::vector<float> values(std::size_t(stride * c.batch));
    for (float& value : values) value = uniform(random);
    return values;
  };
  std::vector<float> a = draw(stride_a), b = draw(stride_b);
  std::vector<float> before = draw(stride_c);
  if (c.beta == 0) std::fill(before.begin(), before.end(), NAN);
  const Array<float> device_a(a), device_b(b), device_c(before);
  std::vector<__nv_bfloat16> short_a, short_b;
  for (float& x : a) {
    short_a.push_back(__float2bfloat16(x));
    if (c.bfloat16) x = __bfloat162float(short_a.back());
  }
  for (float& x : b) {
    short_b.push_back(__float2bfloat16(x));
    if (c.bfloat16) x = __bfloat162float(short_b.back());
  }
  const Array<__nv_bfloat16> device_short_a(short_a), device_short_b(short_b);

  cublasHandle_t handle = nullptr;
  cublasCreate(&handle);
  const float alpha = 0.5F;
  const cudaDataType type = c.bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
  EXPECT_EQ(
      cublasGemmStridedBatchedEx(
          handle, c.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
          c.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, c.m, c.n, c.k, &alpha,
          c.bfloat16 ? static_cast<const void*>(device_short_a.get()) : device_a.get(), type, lda,
          stride_a, c.bfloat16 ? static_cast<const void*>(device_short_b.get()) : device_b.get(),
          type, ldb, stride_b, &c.beta, device_c.get(), CUDA_R_32F, ldc, stride_c, c.batch,
          c.compute, CUBLAS_GEMM_DEFAULT),
      CUBLAS_STATUS_SUCCESS);
  const std::vector<float> result = device_c.values();
  cublasDestroy(handle);

  const double operand_rounding = c.compute == CUBLAS_COMPUTE_32F             ? 0
                                  : c.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? 0x1p-10
                                                                              : 0x1p-7;
  double worst = 0;
  for (int q = 0; q < c.batch; ++q)
    for (int j = 0; j < ldc * c.n; ++j) {
      const int row = j % ldc, column = j / ldc;
      const auto at = std::size_t(q * stride_c + j);
      if (row >= c.m) {  // between columns
        if (std::isnan(before[at]) ? !std::isnan(result[at]) : result[at] != before[at])
          return INFINITY;
        continue;
      }
      double sum = 0, magnitude = 1;
      for (int p = 0; p < c.k; ++p) {
        const int a_at = c.transpose_a ? row * lda + p : p * lda + row;
        const int b_at = c.transpose_b ? p * ldb + column : column * ldb + p;
        const double term = double(a[std::size_t(q * stride_a + a_at)]) *
                            double(b[std::size_t(q * stride_b + b_at)]);
        sum += term;
        magnitude += std::abs(term);
      }
      double expected = 0.5 * sum;
      if (c.beta != 0) expected += double(c.beta) * double(before[at]);
      const double bound = magnitude * (operand_rounding + (c.k + 4) * 0x1p-24);
      const double error = std::abs(double(result[at]) - expected) / bound;
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
  return worst;
}

TEST(Emulation, ProductsAgreeWithFloat64) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true})
      for (const auto& [m, n, k] : {std::array{1, 1, 1}, std::array{8, 4, 16}, std::array{9, 5, 3},
                                    std::array{37, 21, 65}, std::array{5, 3, 0}}) {
        GemmCase c{m, n, k, 1, transpose_a, transpose_b, 0, CUBLAS_COMPUTE_32F, false};
        EXPECT_LT(gemm_error(c), 1) << m << " " << n << " " << k;
        c.bfloat16 = true;
        EXPECT_LT(gemm_error(c), 1) << m << " " << n << " " << k;
        c.bfloat16 = false;
        c.batch = 3;
        c.beta = 1;
        EXPECT_LT(gemm_error(c), 1) << m << " " << n << " " << k;
        c.compute = CUBLAS_COMPUTE_32F_FAST_TF32;
        EXPECT_LT(gemm_error(c), 1) << m << " " << n << " " << k;
        c.compute = CUBLAS_COMPUTE_32F_FAST_16BF;
        EXPECT_LT(gemm_error(c), 1) << m << " " << n << " " << k;
      }
  // TF32 does round, by more than float32 would.
  GemmCase c{37, 21, 65, 1, false, false, 0, CUBLAS_COMPUTE_32F_FAST_TF32, false};
  EXPECT_GT(gemm_error(c), 0.01);
}

TEST(Emulation, ProductsRefuseWhatCublasRefuses) {
  const Array<float> memory(std::size_t{64});
  cublasHandle_t handle = nullptr;
  cublasCreate(&handle);
  const float one = 1;
  const auto multiply = [&](int lda, int ldb, int ldc, cudaDataType b_type) {
    return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_T, 4, 3, 2, &one, memory.get(), CUDA_R_32F,
                        lda, memory.get() + 16, b_type, ldb, &one, memory.get() + 32, CUDA_R_32F,
                        ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  };
  EXPECT_EQ(multiply(4, 3, 4, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(multiply(3, 3, 4, CUDA_R_32F), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(multiply(4, 2, 4, CUDA_R_32F), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(multiply(4, 3, 3, CUDA_R_32F), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(multiply(4, 3, 4, CUDA_R_16BF), CUBLAS_STATUS_NOT_SUPPORTED);
  cublasDestroy(handle);
}

namespace wmma = nvcuda::wmma;

/// Each warp its own d = a b + c, everything `ld` elements from row to row or column to column, and
/// as many from tile to tile as kTileStride says.
constexpr int kTileStride = 32 * 40;
template <int m, int n, int k, typename T, typename LayoutA, typename LayoutB>
__global__ void multiply_tiles(const wmma::Stored<T>* a, const wmma::Stored<T>* b, float* c,
                               unsigned ld, wmma::layout_t layout, bool rounds) {
  const int offset = int(threadIdx.x) / 32 * kTileStride;
  wmma::fragment<wmma::matrix_a, m, n, k, T, LayoutA> tile_a;
  wmma::fragment<wmma::matrix_b, m, n, k, T, LayoutB> tile_b;
  wmma::fragment<wmma::accumulator, m, n, k, float> sums, loaded;
  wmma::load_matrix_sync(tile_a, a + offset, ld);
  wmma::load_matrix_sync(tile_b, b + offset, ld);
  wmma::load_matrix_sync(loaded, c + offset, ld, layout);
  if constexpr (std::is_same_v<T, wmma::precision::tf32>) {
    if (rounds) {
      for (auto& x : tile_a.x) x = wmma::__float_to_tf32(x);
      for (int i = 0; i < tile_b.num_elements; ++i)
        tile_b.x[i] = wmma::__float_to_tf32(tile_b.x[i]);
    }
  }
  wmma::fill_fragment(sums, 0.0F);
  wmma::mma_sync(sums, tile_a, tile_b, sums);
  for (int i = 0; i < sums.num_elements; ++i) sums.x[i] += loaded.x[i];
  wmma::store_matrix_sync(c + offset, sums, ld, layout);
}

/// To 10 bits of mantissa, by other means than the emulation's.
float to_tf32(float x, bool rounds) {
  int exponent = 0;
  const float scaled = std::frexp(x, &exponent) * 2048;  // 11 bits before the point
  return std::ldexp(rounds ? std::round(scaled) : std::trunc(scaled), exponent - 11);
}

template <int m, int n, int k, typename T, typename LayoutA, typename LayoutB>
void expect_product(wmma::layout_t layout, bool rounds = true) {
  constexpr unsigned kLd = 40;
  constexpr int kWarps = 2;
  constexpr bool kTf32 = std::is_same_v<T, wmma::precision::tf32>;
  std::mt19937 random(11);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const auto draw = [&] {
    std::vector<float> values(kWarps * kTileStride);
    for (float& value : values) value = uniform(random);
    return values;
  };
  std::vector<float> a = draw(), b = draw();
  const std::vector<float> c = draw();
  std::vector<wmma::Stored<T>> stored_a, stored_b;
  for (auto [values, stored] : {std::pair{&a, &stored_a}, std::pair{&b, &stored_b}})
    for (float& x : *values) {
      if constexpr (kTf32) {
        stored->push_back(x);
        x = to_tf32(x, rounds);
      } else {
        stored->push_back(__float2bfloat16(x));
        x = __bfloat162float(stored->back());
      }
    }
  const Array<wmma::Stored<T>> device_a(stored_a), device_b(stored_b);
  const Array<float> device_c(c);
  start(nullptr, 1, 32 * kWarps, multiply_tiles<m, n, k, T, LayoutA, LayoutB>, device_a.get(),
        device_b.get(), device_c.get(), kLd, layout, rounds);
  std::vector<float> expected = c;
  const auto at = [](bool by_rows, int row, int column) {
    return std::size_t(by_rows ? row * int(kLd) + column : column * int(kLd) + row);
  };
  for (std::size_t first = 0; first < c.size(); first += kTileStride)
    for (int row = 0; row < m; ++row)
      for (int column = 0; column < n; ++column) {
        float sum = 0;  // of exact products, in this order
        for (int q = 0; q < k; ++q)
          sum += a[first + at(std::is_same_v<LayoutA, wmma::row_major>, row, q)] *
                 b[first + at(std::is_same_v<LayoutB, wmma::row_major>, q, column)];
        expected[first + at(layout == wmma::mem_row_major, row, column)] += sum;
      }
  EXPECT_EQ(device_c.values(), expected) << m << " " << n << " " << k << " " << kTf32;
}

template <int m, int n, int k, typename T>
void expect_products() {
  using wmma::col_major, wmma::row_major;
  expect_product<m, n, k, T, row_major, row_major>(wmma::mem_row_major);
  expect_product<m, n, k, T, row_major, col_major>(wmma::mem_col_major);
  expect_product<m, n, k, T, col_major, row_major>(wmma::mem_row_major);
  expect_product<m, n, k, T, col_major, col_major>(wmma::mem_col_major);
}

TEST_P(InEveryOrder, TilesAreMultiplied) {
  expect_products<16, 16, 16, __nv_bfloat16>();
  expect_products<32, 8, 16, __nv_bfloat16>();
  expect_products<8, 32, 16, __nv_bfloat16>();
  expect_products<16, 16, 8, wmma::precision::tf32>();
  expect_product<16, 16, 8, wmma::precision::tf32, wmma::row_major, wmma::col_major>(
      wmma::mem_row_major, false);
}

TEST(Emulation, RoundsToTf32AsTheHardwareDoes) {
  EXPECT_EQ(wmma::__float_to_tf32(1 + 0x1p-11F), 1 + 0x1p-10F);  // half way, away from 0
  EXPECT_EQ(wmma::__float_to_tf32(-1 - 0x1p-11F), -1 - 0x1p-10F);
  EXPECT_EQ(wmma::__float_to_tf32(1 + 0x1.FFp-12F), 1);
  EXPECT_EQ(wmma::__float_to_tf32(0x1.FFFp0F), 2);
  EXPECT_EQ(wmma::__float_to_tf32(-INFINITY), -INFINITY);
  EXPECT_TRUE(std::isnan(wmma::__float_to_tf32(NAN)));
}

TEST(EmulationDeathTest, TilesAreMovedAsTheHardwareCan) {
  const Array<__nv_bfloat16> a(std::size_t{kTileStride}), b(std::size_t{kTileStride});
  const Array<float> c(std::size_t{kTileStride});
  const auto run = [&](int threads, int offset, unsigned ld) {
    start(nullptr, 1, unsigned(threads),
          multiply_tiles<16, 16, 16, __nv_bfloat16, wmma::row_major, wmma::row_major>,
          a.get() + offset, b.get(), c.get(), ld, wmma::mem_row_major, false);
    cudaDeviceSynchronize();
  };
  run(32, 16, 24);
  EXPECT_DEATH(run(32, 8, 24), "an address that is no multiple of 32 bytes");
  EXPECT_DEATH(run(32, 0, 20), "ldm is no multiple of 16 bytes");
  EXPECT_DEATH(run(31, 0, 24), "warp 0 has not all its lanes");
}

TEST(Emulation, SortIsStableAndReadsTheBitsItIsGiven) {
  const std::vector<std::uint32_t> keys{0x13, 0x05, 0x23, 0x05, 0x10, 0x03};
  const Array<std::uint32_t> keys_in(keys), keys_out(keys.size());
  const Array<int> values_in(counting(6)), values_out(std::size_t{6});
  std::size_t bytes = 0;
  const auto sort = [&](void* storage, int end_bit) {
    return cub::DeviceRadixSort::SortPairs(storage, bytes, keys_in.get(), keys_out.get(),
                                           values_in.get(), values_out.get(), 6, 0, end_bit);
  };
  ASSERT_EQ(sort(nullptr, 4), cudaSuccess);
  const Array<std::byte> storage(bytes);
  ASSERT_EQ(sort(storage.get(), 4), cudaSuccess);
  EXPECT_EQ(values_out.values(), (std::vector<int>{4, 0, 2, 5, 1, 3}));
  ASSERT_EQ(sort(storage.get(), 32), cudaSuccess);
  EXPECT_EQ(values_out.values(), (std::vector<int>{5, 1, 3, 4, 0, 2}));
  EXPECT_EQ(keys_out.values(), (std::vector<std::uint32_t>{0x03, 0x05, 0x05, 0x10, 0x13, 0x23}));
  bytes -= 1;
  EXPECT_EQ(sort(storage.get(), 32), cudaErrorInvalidValue);

  const Array<int> signed_in(std::vector<int>{3, -1, 2, -5}), signed_out(std::size_t{4});
  bytes += 1;
  cub::DeviceRadixSort::SortPairs(storage.get(), bytes, signed_in.get(), signed_out.get(),
                                  values_in.get(), values_out.get(), 4);
  EXPECT_EQ(signed_out.values(), (std::vector<int>{-5, -1, 2, 3}));
}

TEST(Emulation, ScansInPlaceAndNot) {
  const Array<int> in(counting(5, 1)), out(std::size_t{5});
  std::size_t bytes = 0;
  cub::DeviceScan::InclusiveSum(nullptr, bytes, in.get(), out.get(), 5);
  const Array<std::byte> storage(bytes);
  cub::DeviceScan::InclusiveSum(storage.get(), bytes, in.get(), out.get(), 5);
  EXPECT_EQ(out.values(), (std::vector<int>{1, 3, 6, 10, 15}));
  cub::DeviceScan::ExclusiveSum(storage.get(), bytes, in.get(), in.get(), 5);
  EXPECT_EQ(in.values(), (std::vector<int>{0, 1, 3, 6, 10}));
}

TEST(Emulation, Float16RoundsToNearestEven) {
  for (int bits = 0; bits <= 0xFFFF; ++bits) {
    const __half value{std::uint16_t(bits)};
    if ((bits & 0x7FFF) <= 0x7C00) {
      EXPECT_EQ(__float2half(__half2float(value)).bits, bits);
    } else {
      EXPECT_TRUE(std::isnan(__half2float(value)));
    }
  }
  const auto rounded = [](float x) { return __half2float(__float2half(x)); };
  EXPECT_EQ(rounded(1 + 0x1p-11F), 1);
  EXPECT_EQ(rounded(1 + 0x3p-11F), 1 + 0x1p-9F);
  EXPECT_EQ(rounded(-1 - 0x1.2p-11F), -1 - 0x1p-10F);
  EXPECT_EQ(rounded(65519), 65504);
  EXPECT_EQ(rounded(65520), INFINITY);
  EXPECT_EQ(rounded(-0x1p-25F), 0);
  EXPECT_EQ(rounded(0x3p-26F), 0x1p-24F);
  EXPECT_EQ(rounded(0x1.FFFp-15F), 0x1p-14F);
  EXPECT_EQ(__float2half(NAN).bits & 0x7FFF, 0x7FFF);
}

}  // namespace
}  // namespace unroll::test
