/// The emulation of CUDA keeps CUDA's promises, and detects code that relies on more than those.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/cuda_emulation/calls.h"
#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/include/cub/cub.cuh"
#include "tests/cuda_emulation/include/cublas_v2.h"
#include "tests/cuda_emulation/include/cuda_bf16.h"
#include "tests/cuda_emulation/include/cuda_fp16.h"
#include "tests/cuda_emulation/test_kernels.h"

namespace unroll::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Emulation, InEveryOrder, kOrders);

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
  *pinned_ = 6;  // too early: the device gets this value
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
  EXPECT_EQ(after.queued.kernel - before.queued.kernel, 1);
  EXPECT_EQ(after.graph_launch - before.graph_launch, 3);
  EXPECT_EQ(after.replayed.kernel - before.replayed.kernel, 6);
  EXPECT_EQ(after.queued.copy_to_host - before.queued.copy_to_host, 2);
  EXPECT_EQ(after.device_synchronize - before.device_synchronize, 2);
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

/// The largest difference from float64, in units of the expected rounding error: one of float32 per
/// term and sum, plus that of the operands.
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
  // TF32 does round, by more than float32.
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

TEST(Emulation, SortIsStableAndReadsTheBitsItIsGiven) {
  static_cast<void>(cudaGetLastError());  // CUB would find the error of earlier tests
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
  static_cast<void>(cudaGetLastError());  // CUB would find the error of earlier tests
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
