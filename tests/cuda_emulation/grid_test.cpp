/// Emulated cooperative launches: blocks that wait for each other, their shared memory, and
/// refusals.
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/test_kernels.h"

namespace unroll::test {
namespace {

class GridInEveryOrder : public InEveryOrder {};
INSTANTIATE_TEST_SUITE_P(Emulation, GridInEveryOrder, kOrders);

/// The states of exchange_states(), and launches of it that continue where the last one ended.
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
                             exchange_states, gpu::GridWatch{stop.get(), this->fault.get()},
                             flags.get(), states.get(), rounds, fault);
  }
  /// The states after an even number of rounds.
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
  /// Whether the fault changes the result.
  bool differs(ExchangeFault fault) const {
    constexpr int kRounds = 4;
    cudaMemcpy(states.get(), before().data(), before().size() * 4, cudaMemcpyHostToDevice);
    EXPECT_EQ(run(kRounds, fault), cudaSuccess);
    return states.values() != expected(kRounds);
  }

  unsigned blocks;
  Array<std::uint32_t> flags, states, stop{std::vector<std::uint32_t>{0}};
  Array<gpu::GridFault> fault{std::vector<gpu::GridFault>(1)};
};

TEST_P(GridInEveryOrder, CooperatingBlocksSeeEachOther) {
  for (const unsigned blocks : {1U, 5U, 16U, 40U})
    for (const unsigned threads : {8U, 70U, 256U}) {
      const Exchange exchange(blocks);
      EXPECT_EQ(exchange.run(4, ExchangeFault::kNone, threads), cudaSuccess);
      EXPECT_EQ(exchange.run(6, ExchangeFault::kNone, threads), cudaSuccess);
      EXPECT_EQ(exchange.states.values(), exchange.expected(10)) << blocks << " of " << threads;
      EXPECT_EQ(exchange.flags.values(), std::vector<std::uint32_t>(blocks, 10));
    }
}

TEST_P(GridInEveryOrder, CountsOfExchangesWrapAround) {
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

// The first value of the last block does not arrive: one of the others reports it, and all return.
TEST(Emulation, AWaitThatDoesNotEndIsGivenUp) {
  const Environment waits("UNROLL_EMULATED_LOST_STORE",
                          "999999999");  // a number that is never reached
  const Exchange exchange(3);
  EXPECT_EQ(exchange.run(4, ExchangeFault::kDoesNotPublish), cudaSuccess);
  const gpu::GridFault fault = exchange.fault.values()[0];
  EXPECT_EQ(exchange.stop.values()[0], 1U);
  EXPECT_EQ(fault.is_set, 1U);
  EXPECT_GE(fault.block, 0);
  EXPECT_LT(fault.block, 3);
  EXPECT_EQ(fault.flag, 2);
  EXPECT_EQ(fault.expected, 1U);
  EXPECT_EQ(fault.seen, 0U);
  EXPECT_EQ(exchange.flags.values(), (std::vector<std::uint32_t>{1, 1, 0}));
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

TEST_P(GridInEveryOrder, DynamicSharedMemoryIsTheBlocksOwn) {
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

TEST(Emulation, ACooperativeLaunchIsReplayed) {
  const Exchange exchange(5);
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  EXPECT_EQ(exchange.run(4, ExchangeFault::kNone, 64, stream), cudaSuccess);
  std::size_t nodes = 0;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphGetNodes(graph, nullptr, &nodes);
  EXPECT_EQ(nodes, 1U);
  EXPECT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
  for (int k = 0; k < 2; ++k) EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  EXPECT_EQ(exchange.states.values(), exchange.expected(8));
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace unroll::test
