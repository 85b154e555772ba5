#include "benchmarks/cublas_products.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/device/gemm.h"
#include "cuda/device/graph.h"
#include "cuda/device/runtime.h"
#include "host/bench/measure.h"
#include "unroll/math/philox.h"

namespace unroll::benchmark {
namespace {

/// The matrices of a stack: one buffer serves every operand of the widest layer, another every
/// result, since only times are wanted.
struct Products {
  StackShape shape;
  gpu::Element element;
  gpu::Stream stream = gpu::make_stream();
  gpu::Cublas cublas;
  gpu::DeviceMemory left, right, result;
  gpu::DeviceMemory flush = gpu::make_device_memory(kFlushBytes);

  Products(const StackShape& s, Precision precision)
      : shape(s),
        element(precision == Precision::kBf16 ? gpu::Element::kBfloat16 : gpu::Element::kFloat32),
        cublas(stream.get(), precision) {
    shape.input = padded(shape.input);
    for (std::int64_t& units : shape.spec.hidden) units = padded(units);
    std::int64_t widest = shape.input;
    for (const std::int64_t units : shape.spec.hidden) widest = std::max(widest, units);
    const std::int64_t gates = shape.spec.gates() * widest;
    const std::int64_t rows = shape.steps * shape.batch;
    left = random_memory(gates * std::max(rows, widest));
    right = random_memory(widest * std::max(rows, gates));
    const std::size_t result_bytes = std::size_t(gates * std::max(rows, widest)) * sizeof(float);
    result = gpu::make_device_memory(result_bytes);
    UNROLL_CUDA_CHECK(cudaMemset(result.get(), 0, result_bytes));
  }

  static std::int64_t padded(std::int64_t n) { return (n + 7) / 8 * 8; }

  /// Numbers near 1 with random sign and mantissa, because the power that a product takes, and with
  /// it the clock, depends on the bits.
  gpu::DeviceMemory random_memory(std::int64_t count) const {
    std::vector<std::uint32_t> words(
        std::size_t(count) * gpu::size_of(element) / sizeof(std::uint32_t) + 1);
    const std::uint32_t sign_and_mantissa =
        element == gpu::Element::kBfloat16 ? 0x807F807FU : 0x807FFFFFU;
    const std::uint32_t one = element == gpu::Element::kBfloat16 ? 0x3F803F80U : 0x3F800000U;
    for (std::size_t k = 0; k < words.size(); ++k)
      words[k] = (math::philox_word(1, 0, k) & sign_and_mantissa) | one;
    const std::size_t bytes = words.size() * sizeof(std::uint32_t);
    gpu::DeviceMemory memory = gpu::make_device_memory(bytes);
    UNROLL_CUDA_CHECK(cudaMemcpy(memory.get(), words.data(), bytes, cudaMemcpyHostToDevice));
    return memory;
  }

  /// c [m, n] at `row` of the results = op(left) op(right) + beta c.
  void multiply(std::int64_t m, std::int64_t n, std::int64_t k, bool transpose_a, bool transpose_b,
                float beta = 0, std::int64_t row = 0) const {
    cublas.multiply({.m = m,
                     .n = n,
                     .k = k,
                     .a = left.get(),
                     .lda = transpose_a ? m : k,
                     .transpose_a = transpose_a,
                     .b = right.get(),
                     .ldb = transpose_b ? k : n,
                     .transpose_b = transpose_b,
                     .c = static_cast<float*>(result.get()) + row * n,
                     .ldc = n,
                     .beta = beta,
                     .element = element});
  }

  void forward() const {
    std::int64_t input = shape.input;
    for (const std::int64_t units : shape.spec.hidden) {
      const std::int64_t gates = shape.spec.gates() * units;
      multiply(shape.steps * shape.batch, gates, input, false, true);
      for (std::int64_t t = 0; t < shape.steps; ++t)
        multiply(shape.batch, gates, units, false, true, 1, t * shape.batch);
      input = units;
    }
  }

  void backward() const {
    const std::int64_t rows = shape.steps * shape.batch;
    for (std::size_t layer = shape.spec.hidden.size(); layer-- > 0;) {
      const std::int64_t units = shape.spec.hidden[layer];
      const std::int64_t input = layer == 0 ? shape.input : shape.spec.hidden[layer - 1];
      const std::int64_t gates = shape.spec.gates() * units;
      for (std::int64_t t = 0; t < shape.steps; ++t)
        multiply(shape.batch, units, gates, false, false, 1, t * shape.batch);
      multiply(gates, input, rows, true, false);
      multiply(gates, units, rows, true, false);
      multiply(rows, input, gates, false, false);
    }
  }
};

}  // namespace

CublasProducts cublas_products(const StackShape& shape, Precision precision) {
  const auto products = std::make_shared<Products>(shape, precision);
  const cudaStream_t stream = products->stream.get();
  return {std::make_unique<gpu::GraphReplay>(stream, [products] { products->forward(); }),
          std::make_unique<gpu::GraphReplay>(stream, [products] { products->backward(); }),
          [products, stream](Replay& pass) {
            // As before the runs that these are compared with: it empties the L2 cache and, taking
            // longer than the launch of a graph, hides that.
            UNROLL_CUDA_CHECK(cudaMemsetAsync(products->flush.get(), 0, kFlushBytes, stream));
            return gpu::seconds(stream, [&] { pass.run(); });
          }};
}

}  // namespace unroll::benchmark
