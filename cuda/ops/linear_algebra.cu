/// By cuBLAS's batched LU factorisation with partial pivoting, which neither waits nor allocates,
/// so it can be captured. Its matrices are column-major, so it sees A^T: its inverse is (A^-1)^T,
/// which is A^-1 in rows, and its determinant is that of A.
#include "cuda/ops/linear_algebra.h"

#include <limits>

#include "cuda/device/launch.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

/// cuBLAS takes arrays of pointers that lie on the device.
__global__ __launch_bounds__(kThreads) void point_kernel(float** pointers, float* first,
                                                         std::int64_t count, std::int64_t stride) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < count) pointers[k] = first + k * stride;
}

/// Marks a matrix with a pivot that is zero, which either step reports, or NaN. One thread per
/// matrix.
__global__ __launch_bounds__(kThreads) void mark_singular_kernel(
    const float* lu, const int* inverted, int* factorised, std::int64_t count, std::int64_t n) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= count) return;
  bool marked = factorised[k] != 0 || inverted[k] != 0;
  for (std::int64_t i = 0; i < n && !marked; ++i) marked = isnan(lu[k * n * n + i * (n + 1)]);
  factorised[k] = marked ? 1 : 0;
}

/// NaN for every element of a marked matrix.
__global__ __launch_bounds__(kThreads) void spoil_marked_kernel(float* inverse, const int* marked,
                                                                std::int64_t count,
                                                                std::int64_t elements) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < count * elements && marked[k / elements] != 0) inverse[k] = nanf("");
}

/// One thread per matrix. Each row that was exchanged changes the sign.
__global__ __launch_bounds__(kThreads) void multiply_pivots_kernel(
    const float* lu, const int* pivots, float* determinant, std::int64_t count, std::int64_t n) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= count) return;
  double product = 1;
  for (std::int64_t i = 0; i < n; ++i)
    product *= double(lu[k * n * n + i * (n + 1)]) * (pivots[k * n + i] == i + 1 ? 1 : -1);
  determinant[k] = float(product);
}

/// What both calculations keep in scratch memory.
struct LuScratch {
  std::int64_t count, n;
  float **lu_pointers, **inverse_pointers;  // [count]
  float* lu;                                // [count, n, n]
  int* pivots;                              // [count, n]
  int *factorised, *inverted;               // [count]: 0, or the number of a pivot that is zero

  LuScratch(const Shape& a, void* memory) : count(a[0]), n(a[1]) {
    lu_pointers = static_cast<float**>(memory);
    inverse_pointers = lu_pointers + count;
    lu = reinterpret_cast<float*>(inverse_pointers + count);
    pivots = reinterpret_cast<int*>(lu + count * n * n);
    factorised = pivots + count * n;
    inverted = factorised + count;
  }

  static std::size_t bytes(const Shape& a) {
    const auto count = std::size_t(a[0]), n = std::size_t(a[1]);
    return count * (2 * sizeof(float*) + n * n * sizeof(float) + (n + 2) * sizeof(int));
  }
};

class CublasLinearAlgebra final : public LinearAlgebraKernels {
 public:
  explicit CublasLinearAlgebra(Device& device) : device_(device) {}

  std::size_t matrix_scratch_bytes(const Shape& a) const override { return LuScratch::bytes(a); }

  /// What is singular shows in the result only: nothing waits for it.
  std::optional<std::int64_t> invert(const InvertMatrices& args) override {
    const LuScratch scratch(args.a.shape, args.scratch.data);
    factorise(args.a, scratch);
    const int n = int(scratch.n);
    float* const inverse = args.inverse.as<float>();
    point(scratch.inverse_pointers, inverse, scratch);
    check_cublas(
        cublasSgetriBatched(device_.cublas(), n, scratch.lu_pointers, n, scratch.pivots,
                            scratch.inverse_pointers, n, scratch.inverted, int(scratch.count)),
        "cublasSgetriBatched");
    launch(device_.stream(), blocks_for(scratch.count, kThreads), kThreads, mark_singular_kernel,
           scratch.lu, scratch.inverted, scratch.factorised, scratch.count, scratch.n);
    const std::int64_t elements = scratch.n * scratch.n;
    launch(device_.stream(), blocks_for(scratch.count * elements, kThreads), kThreads,
           spoil_marked_kernel, inverse, scratch.factorised, scratch.count, elements);
    return std::nullopt;
  }

  void determinants(const Determinants& args) override {
    const LuScratch scratch(args.a.shape, args.scratch.data);
    factorise(args.a, scratch);
    launch(device_.stream(), blocks_for(scratch.count, kThreads), kThreads, multiply_pivots_kernel,
           scratch.lu, scratch.pivots, args.determinant.as<float>(), scratch.count, scratch.n);
  }

 private:
  void point(float** pointers, float* first, const LuScratch& scratch) {
    launch(device_.stream(), blocks_for(scratch.count, kThreads), kThreads, point_kernel, pointers,
           first, scratch.count, scratch.n * scratch.n);
  }

  void factorise(const View& a, const LuScratch& scratch) {
    UNROLL_CUDA_CHECK(
        cudaMemcpyAsync(scratch.lu, a.data, a.bytes(), cudaMemcpyDeviceToDevice, device_.stream()));
    point(scratch.lu_pointers, scratch.lu, scratch);
    const int n = int(scratch.n);
    check_cublas(cublasSgetrfBatched(device_.cublas(), n, scratch.lu_pointers, n, scratch.pivots,
                                     scratch.factorised, int(scratch.count)),
                 "cublasSgetrfBatched");
  }

  Device& device_;
};

}  // namespace

std::unique_ptr<LinearAlgebraKernels> make_linear_algebra(Device& device) {
  return std::make_unique<CublasLinearAlgebra>(device);
}

}  // namespace unroll::gpu
