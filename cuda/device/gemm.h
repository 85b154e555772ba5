/// Matrix products by cuBLAS, in row-major terms.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

#include "cuda/device/runtime.h"
#include "cuda/kernels/element.h"
#include "unroll/device.h"

namespace unroll::gpu {

/// For each of `batch` products: c [m, n] = op(a) op(b) + beta c, with op(a) [m, k] and op(b) [k,
/// n] the matrix or its transpose. Stored rows are ld elements apart, products are `stride`
/// elements apart.
struct Gemm {
  std::int64_t m, n, k;
  const void* a;
  std::int64_t lda;
  bool transpose_a;
  const void* b;
  std::int64_t ldb;
  bool transpose_b;
  float* c;
  std::int64_t ldc;
  float beta = 0;
  Element element = Element::kFloat32;  // of a and b
  std::int64_t batch = 1;
  std::int64_t stride_a = 0, stride_b = 0, stride_c = 0;
};

/// Throws with cuBLAS's words if the call failed.
void check_cublas(cublasStatus_t status, const char* call);

/// One cuBLAS handle on one stream, with its own workspace: equal products give equal bits, and
/// none allocates.
class Cublas {
 public:
  Cublas(cudaStream_t stream, Precision precision);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  void multiply(const Gemm& args) const;
  /// For cuBLAS's other functions.
  cublasHandle_t handle() const { return handle_; }
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

 private:
  cublasHandle_t handle_ = nullptr;
  DeviceMemory workspace_;
  cublasComputeType_t compute_;
};

}  // namespace unroll::gpu
