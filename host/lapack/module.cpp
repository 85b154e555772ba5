/// Inverses and determinants by LAPACK's LU factorisation with partial pivoting.
///
/// LAPACK's matrices are column-major, so it sees A^T: its inverse is (A^-1)^T, which is A^-1 in
/// rows, and its determinant is that of A. One thread computes the matrices one after the other. A
/// LAPACK with threads of its own (OpenBLAS) is told to use one: the number of threads changes
/// sums.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "host/cpu/linear_algebra.h"
#include "unroll/version.h"

extern "C" {
void sgetrf_(const int* rows, const int* columns, float* a, const int* lda, int* pivots, int* info);
void sgetri_(const int* n, float* a, const int* lda, const int* pivots, float* work,
             const int* work_size, int* info);
// OpenBLAS's; null in other libraries.
[[gnu::weak]] int openblas_get_num_threads();
[[gnu::weak]] void openblas_set_num_threads(int threads);
}

namespace unroll::host {
namespace {

class OneThread {
 public:
  OneThread() {
    if (!openblas_get_num_threads || !openblas_set_num_threads) return;
    before_ = openblas_get_num_threads();
    openblas_set_num_threads(1);
  }
  ~OneThread() {
    if (before_ > 0) openblas_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = 0;
};

/// The work of sgetri per column; its documentation asks for the block size, which is 64 or less.
constexpr std::size_t kBlock = 64;

class LapackKernels final : public LinearAlgebraKernels {
 public:
  std::size_t matrix_scratch_bytes(const Shape& a) const override {
    const auto n = std::size_t(a.last());
    return n * sizeof(int) + n * std::max(n, kBlock) * sizeof(float);
  }

  std::optional<std::int64_t> invert(const InvertMatrices& args) override {
    const OneThread guard;
    const int n = size_of_matrix(args.a);
    const std::int64_t elements = std::int64_t{n} * n;
    int* const pivots = static_cast<int*>(args.scratch.data);
    auto* const work = reinterpret_cast<float*>(pivots + n);
    const int work_size = int(n * kBlock);
    std::optional<std::int64_t> singular;
    for (std::int64_t k = 0; k < args.a.shape[0]; ++k) {
      float* const matrix = args.inverse.as<float>() + k * elements;
      std::memcpy(matrix, args.a.as<float>() + k * elements, std::size_t(elements) * sizeof(float));
      const bool has_nan = contains_nan(matrix, elements);
      if (!has_nan && factorise(matrix, n, pivots)) {
        int info = 0;
        sgetri_(&n, matrix, &n, pivots, work, &work_size, &info);
        check(info, "sgetri");
        continue;
      }
      std::fill_n(matrix, elements, std::numeric_limits<float>::quiet_NaN());
      if (!has_nan && !singular) singular = k;
    }
    return singular;
  }

  void determinants(const Determinants& args) override {
    const OneThread guard;
    const int n = size_of_matrix(args.a);
    const std::int64_t elements = std::int64_t{n} * n;
    int* const pivots = static_cast<int*>(args.scratch.data);
    auto* const lu = reinterpret_cast<float*>(pivots + n);
    for (std::int64_t k = 0; k < args.a.shape[0]; ++k) {
      std::memcpy(lu, args.a.as<float>() + k * elements, std::size_t(elements) * sizeof(float));
      const bool has_nan = contains_nan(lu, elements);
      if (!has_nan) factorise(lu, n, pivots);
      double product = has_nan ? std::numeric_limits<double>::quiet_NaN() : 1;
      for (int i = 0; !has_nan && i < n; ++i)  // each row that was exchanged changes the sign
        product *= double(lu[i * n + i]) * (pivots[i] == i + 1 ? 1 : -1);
      args.determinant.as<float>()[k] = float(product);
    }
  }

 private:
  static int size_of_matrix(const View& a) { return int(a.shape.last()); }

  static void check(int info, const char* routine) {
    if (info < 0)
      throw std::logic_error(std::string(routine) + ": argument " + std::to_string(-info) +
                             " is wrong");
  }

  /// Every element of an inverse depends on all of its matrix, but not every LAPACK lets NaN pass.
  static bool contains_nan(const float* matrix, std::int64_t elements) {
    return std::any_of(matrix, matrix + elements, [](float x) { return std::isnan(x); });
  }

  /// False if a pivot is zero, which makes the matrix singular.
  static bool factorise(float* matrix, int n, int* pivots) {
    int info = 0;
    sgetrf_(&n, &n, matrix, &n, pivots, &info);
    check(info, "sgetrf");
    return info == 0;
  }
};

LinearAlgebraKernels* kernels() {
  static LapackKernels lapack;
  return &lapack;
}

const LapackModuleApi kApi = {kVersion, kernels};

}  // namespace
}  // namespace unroll::host

/// The module's only symbol.
extern "C" [[gnu::visibility("default")]] const unroll::host::LapackModuleApi*
unroll_lapack_module();

const unroll::host::LapackModuleApi* unroll_lapack_module() {
  return &unroll::host::kApi;
}
