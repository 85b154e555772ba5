#include "cuda/device/device_rates.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>

#include "cuda/device/device.h"
#include "cuda/device/graph.h"
#include "cuda/device/launch.h"
#include "cuda/kernels/grid_exchange.cuh"
#include "unroll/math/philox.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kRepeats = 5;
/// Long enough that an event's resolution of half a microsecond does not matter.
constexpr double kLongEnough = 500e-6;

/// Words whose two halves and whole, read as numbers, have random signs and mantissas and are near
/// 1: the power that a product draws, and so the clock, depends on the bits.
__global__ void fill_kernel(std::uint32_t* out, std::int64_t count, bool halves) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= count) return;
  const std::uint32_t bits = math::philox_word(1, 0, std::uint64_t(k));
  out[k] = halves ? (bits & 0x807F807FU) | 0x3F803F80U : (bits & 0x807FFFFFU) | 0x3F800000U;
}

/// Depends on the kernel before it, because both write the same address.
__global__ void follow_kernel(int* counter) {
  if (threadIdx.x == 0) *counter += 1;
}

/// words [2, blocks]: `rounds` times, every block writes a word, which is 1 more than one that it
/// read before, and reads the words of all others. Sets *wrong to 1 if it read anything but the
/// number of the round.
__global__ void exchange_kernel(const GridWatch watch, std::uint32_t* flags, std::uint32_t* words,
                                std::uint32_t rounds, int* wrong) {
  const int blocks = int(gridDim.x), block = int(blockIdx.x), thread = int(threadIdx.x);
  const int source = (block + 1) % blocks;
  std::uint32_t value = published(flags, block), next = 1;
  bool all_right = true;
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    std::uint32_t* const half = words + round % 2 * std::uint32_t(blocks);
    if (thread == source % kThreads) half[block] = next;
    publish(flags, block, ++value);
    if (!await(watch, flags, blocks, value)) return;
    for (int k = thread; k < blocks; k += kThreads) {
      const std::uint32_t word = __ldcg(half + k);
      if (k == source) next = word + 1;
      all_right = all_right && word == round;
    }
  }
  if (!all_right) *wrong = 1;
}

/// Every block reads all of `in` `times` times, each from its own starting point.
__global__ void read_kernel(const float4* in, std::int64_t count, int times, float* out) {
  float sum = 0;
  const std::int64_t first = count / gridDim.x * blockIdx.x;
  for (int round = 0; round < times; ++round)
    for (std::int64_t k = threadIdx.x; k < count; k += kThreads) {
      const std::int64_t at = first + k;
      const float4 four = __ldcg(in + (at < count ? at : at - count));  // not from L1
      sum += (four.x + four.y) + (four.z + four.w);
    }
  if (sum == -1) *out = sum;  // never true, but the compiler does not know it
}

/// Times a second run: in the first one libraries load what they need.
bool is_long_enough(cudaStream_t stream, const std::function<void()>& work) {
  work();
  return seconds(stream, work) >= kLongEnough;
}

double least_seconds(cudaStream_t stream, const std::function<void()>& work) {
  double least = std::numeric_limits<double>::max();
  for (int run = 0; run <= kRepeats; ++run) {
    const double time = seconds(stream, work);
    if (run > 0) least = std::min(least, time);
  }
  return least;
}

/// Measured on square products that grow, up to 8192, until one takes long enough.
double product_rate(Device& device) {
  for (std::int64_t n = 512;; n *= 2) {
    const std::int64_t words = n * n * std::int64_t(size_of(device.element())) / 4;
    const std::shared_ptr<void> a = device.allocate(std::size_t(words) * 4);
    const std::shared_ptr<void> b = device.allocate(std::size_t(words) * 4);
    const std::shared_ptr<void> c = device.allocate(std::size_t(n * n) * sizeof(float));
    for (const auto& operand : {a, b})
      launch(device.stream(), blocks_for(words, kThreads), kThreads, fill_kernel,
             static_cast<std::uint32_t*>(operand.get()), words,
             device.element() == Element::kBfloat16);
    const Gemm product{.m = n,
                       .n = n,
                       .k = n,
                       .a = a.get(),
                       .lda = n,
                       .transpose_a = false,
                       .b = b.get(),
                       .ldb = n,
                       .transpose_b = true,
                       .c = static_cast<float*>(c.get()),
                       .ldc = n,
                       .element = device.element()};
    const auto multiply = [&] { device.multiply(product); };
    if (n < 8192 && !is_long_enough(device.stream(), multiply)) continue;
    const double cube = double(n) * double(n) * double(n);
    return 2 * cube / least_seconds(device.stream(), multiply);
  }
}

/// Counts the bytes read and the bytes written.
double memory_rate(Device& device) {
  for (std::size_t bytes = std::size_t{1} << 20;; bytes *= 4) {
    const std::shared_ptr<void> from = device.allocate(bytes), to = device.allocate(bytes);
    const auto copy = [&] {
      UNROLL_CUDA_CHECK(
          cudaMemcpyAsync(to.get(), from.get(), bytes, cudaMemcpyDeviceToDevice, device.stream()));
    };
    UNROLL_CUDA_CHECK(cudaMemsetAsync(from.get(), 1, bytes, device.stream()));
    if (bytes < std::size_t{1} << 30 && !is_long_enough(device.stream(), copy)) continue;
    return 2 * double(bytes) / least_seconds(device.stream(), copy);
  }
}

/// The rate at which all multiprocessors together read a few MB that stay in the L2 cache.
double cache_rate(Device& device) {
  constexpr std::int64_t kBytes = std::int64_t{4} << 20;
  constexpr std::int64_t kCount = kBytes / std::int64_t(sizeof(float4));
  const std::shared_ptr<void> in = device.allocate(std::size_t(kBytes));
  const std::shared_ptr<void> out = device.allocate(sizeof(float));
  UNROLL_CUDA_CHECK(cudaMemsetAsync(in.get(), 0, std::size_t(kBytes), device.stream()));
  const int blocks = 4 * device.processors();
  for (int times = 1;; times *= 2) {
    const auto read = [&] {
      launch(device.stream(), unsigned(blocks), kThreads, read_kernel,
             static_cast<const float4*>(in.get()), kCount, times, static_cast<float*>(out.get()));
    };
    if (!is_long_enough(device.stream(), read)) continue;
    return double(kBytes) * times * blocks / least_seconds(device.stream(), read);
  }
}

/// The time of one kernel in a chain in a graph. It has one thread block, so the boundary between
/// kernels dominates.
double kernel_seconds(Device& device) {
  constexpr int kChain = 200;
  const std::shared_ptr<void> counter = device.allocate(sizeof(int));
  UNROLL_CUDA_CHECK(cudaMemsetAsync(counter.get(), 0, sizeof(int), device.stream()));
  const auto chain = [&] {
    for (int k = 0; k < kChain; ++k)
      launch(device.stream(), 1, 32, follow_kernel, static_cast<int*>(counter.get()));
  };
  chain();
  const Graph graph = capture(device.stream(), chain);
  return least_seconds(device.stream(),
                       [&] { UNROLL_CUDA_CHECK(cudaGraphLaunch(graph.get(), device.stream())); }) /
         kChain;
}

/// The time of one exchange between blocks that each have a multiprocessor, like those of a kernel
/// that keeps its weights there. Each shows the others one word, so waiting dominates. 0 if blocks
/// cannot wait for each other.
double exchange_seconds(Device& device) {
  int cooperative = 0;
  UNROLL_CUDA_CHECK(
      cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device.ordinal()));
  if (!cooperative) return 0;
  const auto blocks = unsigned(device.processors());
  const auto zeros = [&](std::size_t count) {
    const std::shared_ptr<void> memory = device.allocate(count * sizeof(std::uint32_t));
    UNROLL_CUDA_CHECK(
        cudaMemsetAsync(memory.get(), 0, count * sizeof(std::uint32_t), device.stream()));
    return memory;
  };
  const std::shared_ptr<void> flags = zeros(blocks), words = zeros(2 * blocks), wrong = zeros(1);
  // With all of the shared memory, no two blocks share a multiprocessor.
  allow_shared_memory(exchange_kernel, device.shared_memory());
  const auto exchange = [&](std::uint32_t rounds) {
    return [&, rounds] {
      launch_cooperative(device.stream(), blocks, kThreads, device.shared_memory(), exchange_kernel,
                         device.grid_watcher().watch(), static_cast<std::uint32_t*>(flags.get()),
                         static_cast<std::uint32_t*>(words.get()), rounds,
                         static_cast<int*>(wrong.get()));
    };
  };
  std::uint32_t rounds = 16;
  while (!is_long_enough(device.stream(), exchange(rounds))) rounds *= 2;
  const double few = least_seconds(device.stream(), exchange(rounds));
  const double many = least_seconds(device.stream(), exchange(4 * rounds));
  int went_wrong = 0;
  UNROLL_CUDA_CHECK(cudaMemcpy(&went_wrong, wrong.get(), sizeof(int), cudaMemcpyDeviceToHost));
  device.grid_watcher().check();
  if (went_wrong)
    fail("a block read what another had not written", "exchange_kernel", __FILE__, __LINE__);
  // The difference excludes the launch. Noise may make it negative on a busy machine.
  if (many > few) return (many - few) / (3 * rounds);
  return many / (4 * rounds);
}

}  // namespace

CudaRates measure_rates(int ordinal, Precision precision) {
  Device device(ordinal, {.precision = precision});
  return {.products = product_rate(device),
          .memory = memory_rate(device),
          .cache = cache_rate(device),
          .kernel = kernel_seconds(device),
          .processors = device.processors()};
}

double measure_exchange_seconds(int ordinal) {
  Device device(ordinal, {});
  return exchange_seconds(device);
}

}  // namespace unroll::gpu
