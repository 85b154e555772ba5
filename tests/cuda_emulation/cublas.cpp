/// Matrix products. Both factors are packed as float32 in panels of a few rows or columns, and a
/// tile of the result stays in registers for all of k.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "tests/cuda_emulation/include/cublas_v2.h"
#include "tests/cuda_emulation/include/cuda_bf16.h"
#include "tests/cuda_emulation/include/emulation.h"

struct cublasContext {
  int device = 0;
  cudaStream_t stream = nullptr;
};

namespace emulation {
namespace {

using Vector = float __attribute__((vector_size(16)));
constexpr int kRows = 8, kColumns = 4;  // per tile: 8 of the 16 registers of any x86-64

struct Factor {
  const void* data;
  cudaDataType type;
  std::int64_t row_stride, column_stride, batch_stride;  // strides of op(A) or op(B)
};
struct Product {
  std::int64_t m, n, k, batch;
  Factor a, b;
  float* c;
  std::int64_t ldc, stride_c;
  float alpha, beta;
  cublasComputeType_t compute;
};

float rounded(float value, cublasComputeType_t compute) {
  if (compute == CUBLAS_COMPUTE_32F_FAST_16BF) return __bfloat162float(__float2bfloat16(value));
  if (compute != CUBLAS_COMPUTE_32F_FAST_TF32 || value != value) return value;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFU);
}

/// Panels of `width` rows, each [k][width]; the last one is padded with zero rows.
std::vector<float> pack(const Factor& factor, std::int64_t batch, std::int64_t rows,
                        std::int64_t row_stride, std::int64_t k, std::int64_t k_stride, int width,
                        cublasComputeType_t compute) {
  std::vector<float> packed(std::size_t((rows + width - 1) / width * width * k));
  for (std::int64_t row = 0; row < rows; ++row) {
    float* const to = packed.data() + row / width * width * k + row % width;
    const std::int64_t first = batch * factor.batch_stride + row * row_stride;
    if (factor.type == CUDA_R_32F) {
      const float* const from = static_cast<const float*>(factor.data) + first;
      for (std::int64_t p = 0; p < k; ++p) to[p * width] = rounded(from[p * k_stride], compute);
    } else {
      const auto* const from = static_cast<const __nv_bfloat16*>(factor.data) + first;
      for (std::int64_t p = 0; p < k; ++p) to[p * width] = __bfloat162float(from[p * k_stride]);
    }
  }
  return packed;
}

void multiply_tile(std::int64_t k, const float* a, const float* b, float (&tile)[kColumns][kRows]) {
  Vector sum[kColumns][2] = {};
  for (std::int64_t p = 0; p < k; ++p, a += kRows, b += kColumns) {
    const Vector upper{a[0], a[1], a[2], a[3]}, lower{a[4], a[5], a[6], a[7]};
    for (int column = 0; column < kColumns; ++column) {
      sum[column][0] += upper * b[column];
      sum[column][1] += lower * b[column];
    }
  }
  for (int column = 0; column < kColumns; ++column)
    for (int row = 0; row < kRows; ++row) tile[column][row] = sum[column][row / 4][row % 4];
}

void multiply(const Product& args) {
  for (std::int64_t batch = 0; batch < args.batch; ++batch) {
    const std::vector<float> a = pack(args.a, batch, args.m, args.a.row_stride, args.k,
                                      args.a.column_stride, kRows, args.compute);
    const std::vector<float> b = pack(args.b, batch, args.n, args.b.column_stride, args.k,
                                      args.b.row_stride, kColumns, args.compute);
    float* const c = args.c + batch * args.stride_c;
    for (std::int64_t i = 0; i < args.m; i += kRows) {
      for (std::int64_t j = 0; j < args.n; j += kColumns) {
        float tile[kColumns][kRows];
        multiply_tile(args.k, a.data() + i * args.k, b.data() + j * args.k, tile);
        for (std::int64_t column = j; column < std::min(j + kColumns, args.n); ++column) {
          for (std::int64_t row = i; row < std::min(i + kRows, args.m); ++row) {
            float& out = c[column * args.ldc + row];
            const float product = args.alpha * tile[column - j][row - i];
            out = args.beta == 0 ? product : product + args.beta * out;
          }
        }
      }
    }
  }
}

Factor factor(const void* data, cudaDataType type, int ld, long long batch_stride,
              cublasOperation_t transpose) {
  const bool as_stored = transpose == CUBLAS_OP_N;
  return {data, type, as_stored ? 1 : ld, as_stored ? ld : 1, batch_stride};
}

}  // namespace
}  // namespace emulation

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "CUBLAS_STATUS_UNKNOWN";
}
const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "the function failed to launch on the GPU";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "the functionality requested is not supported";
  }
  return "unknown error";
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new cublasContext;
  cudaGetDevice(&(*handle)->device);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetVersion(cublasHandle_t, int* version) {
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetProperty(libraryPropertyType property, int* value) {
  const int unit = property == MAJOR_VERSION ? 10000 : property == MINOR_VERSION ? 100 : 1;
  *value = CUBLAS_VERSION / unit % 100;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  return bytes > 0 && !workspace ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t) {
  return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                                          cublasOperation_t transpose_b, int m, int n, int k,
                                          const void* alpha, const void* a, cudaDataType a_type,
                                          int lda, long long stride_a, const void* b,
                                          cudaDataType b_type, int ldb, long long stride_b,
                                          const void* beta, void* c, cudaDataType c_type, int ldc,
                                          long long stride_c, int batch,
                                          cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (m < 0 || n < 0 || k < 0 || batch < 0 || !alpha || !beta ||
      lda < std::max(1, transpose_a == CUBLAS_OP_N ? m : k) ||
      ldb < std::max(1, transpose_b == CUBLAS_OP_N ? k : n) || ldc < std::max(1, m))
    return CUBLAS_STATUS_INVALID_VALUE;
  // cuBLAS does not document negative strides.
  if (batch > 1 && (stride_a < 0 || stride_b < 0 || stride_c < 0))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (a_type != b_type || c_type != CUDA_R_32F ||
      (a_type == CUDA_R_16BF && compute != CUBLAS_COMPUTE_32F))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (m == 0 || n == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
  if (!c || (k > 0 && (!a || !b))) return CUBLAS_STATUS_INVALID_VALUE;
  int device = 0;
  cudaGetDevice(&device);
  if (device != handle->device) return CUBLAS_STATUS_EXECUTION_FAILED;
  const emulation::Product product{.m = m,
                                   .n = n,
                                   .k = k,
                                   .batch = batch,
                                   .a = emulation::factor(a, a_type, lda, stride_a, transpose_a),
                                   .b = emulation::factor(b, b_type, ldb, stride_b, transpose_b),
                                   .c = static_cast<float*>(c),
                                   .ldc = ldc,
                                   .stride_c = stride_c,
                                   .alpha = *static_cast<const float*>(alpha),
                                   .beta = *static_cast<const float*>(beta),
                                   .compute = compute};
  const cudaError_t error =
      emulation::enqueue(handle->stream, [product] { emulation::multiply(product); });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                            cublasOperation_t transpose_b, int m, int n, int k, const void* alpha,
                            const void* a, cudaDataType a_type, int lda, const void* b,
                            cudaDataType b_type, int ldb, const void* beta, void* c,
                            cudaDataType c_type, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algorithm) {
  return cublasGemmStridedBatchedEx(handle, transpose_a, transpose_b, m, n, k, alpha, a, a_type,
                                    lda, 0, b, b_type, ldb, 0, beta, c, c_type, ldc, 0, 1, compute,
                                    algorithm);
}
