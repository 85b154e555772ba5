#include "cuda/device/gemm.h"

#include <limits>
#include <stdexcept>
#include <string>

namespace unroll::gpu {

void check_cublas(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail(std::string("cuBLAS: ") + cublasGetStatusString(status), call, __FILE__, __LINE__);
}

namespace {

int cublas_int(std::int64_t n) {
  if (n > std::numeric_limits<int>::max())
    throw std::runtime_error("cuBLAS: got a dimension of " + std::to_string(n) +
                             ", expected at most " +
                             std::to_string(std::numeric_limits<int>::max()));
  return int(n);
}

/// How products multiply float32 operands. bfloat16 operands need no choice.
cublasComputeType_t compute_type(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return CUBLAS_COMPUTE_32F;
    case Precision::kTf32:
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::kBf16:
      return CUBLAS_COMPUTE_32F_FAST_16BF;
  }
  throw std::invalid_argument("unknown precision");
}

}  // namespace

Cublas::Cublas(cudaStream_t stream, Precision precision)
    : workspace_(make_device_memory(kWorkspaceBytes)), compute_(compute_type(precision)) {
  check_cublas(cublasCreate(&handle_), "cublasCreate");
  check_cublas(cublasSetStream(handle_, stream), "cublasSetStream");
  // A workspace of our own: a captured product allocates nothing, and the choice of an algorithm
  // that splits its sums does not depend on what else is in memory. Set after the stream, because
  // setting the stream resets it.
  check_cublas(cublasSetWorkspace(handle_, workspace_.get(), kWorkspaceBytes),
               "cublasSetWorkspace");
}

Cublas::~Cublas() {
  static_cast<void>(cublasDestroy(handle_));
}

void Cublas::multiply(const Gemm& g) const {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  const bool bf16 = g.element == Element::kBfloat16;
  const cudaDataType type = bf16 ? CUDA_R_16BF : CUDA_R_32F;
  const float alpha = 1;
  // cuBLAS is column-major. A row-major matrix is its transpose, so it computes c^T = op(b)^T
  // op(a)^T.
  const cublasOperation_t op_b = g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t op_a = g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasComputeType_t compute = bf16 ? CUBLAS_COMPUTE_32F : compute_;
  const int m = cublas_int(g.n), n = cublas_int(g.m), k = cublas_int(g.k);
  if (g.batch == 1) {  // the batched call does not use algorithms that split the sums
    check_cublas(cublasGemmEx(handle_, op_b, op_a, m, n, k, &alpha, g.b, type, cublas_int(g.ldb),
                              g.a, type, cublas_int(g.lda), &g.beta, g.c, CUDA_R_32F,
                              cublas_int(g.ldc), compute, CUBLAS_GEMM_DEFAULT),
                 "cublasGemmEx");
    return;
  }
  check_cublas(
      cublasGemmStridedBatchedEx(handle_, op_b, op_a, m, n, k, &alpha, g.b, type, cublas_int(g.ldb),
                                 g.stride_b, g.a, type, cublas_int(g.lda), g.stride_a, &g.beta, g.c,
                                 CUDA_R_32F, cublas_int(g.ldc), g.stride_c, cublas_int(g.batch),
                                 compute, CUBLAS_GEMM_DEFAULT),
      "cublasGemmStridedBatchedEx");
}

}  // namespace unroll::gpu
