#include "cuda/cudnn/cudnn_kernels.h"

#include <cuda_fp16.h>

#include <algorithm>

#include "cuda/device/launch.h"
#include "cuda/kernels/pack.cuh"
#include "unroll/math/philox.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kElements = 4;     // per thread
constexpr int kMostPieces = 64;  // per launch: 1.5 KB of the 4 KB limit for kernel arguments

__device__ __forceinline__ float as_float(__half x) {
  return __half2float(x);
}
__device__ __forceinline__ void store_rounded(__half* to, float x) {
  *to = __float2half(x);
}
using gpu::as_float;
using gpu::store_rounded;

struct Pieces {
  Piece piece[kMostPieces];
};

template <typename From, typename To>
__global__ void __launch_bounds__(kThreads) convert_kernel(const __grid_constant__ Pieces pieces) {
  const Piece& piece = pieces.piece[blockIdx.y];
  const From* const from = static_cast<const From*>(piece.from);
  To* const to = static_cast<To*>(piece.to);
  const std::int64_t first = std::int64_t(blockIdx.x) * kThreads * kElements + threadIdx.x;
#pragma unroll
  for (int k = 0; k < kElements; ++k) {
    const std::int64_t index = first + k * kThreads;
    if (index < piece.elements) store_rounded(to + index, from ? as_float(from[index]) : 0.0F);
  }
}

void launch_pieces(cudaStream_t stream, void (*kernel)(Pieces), std::span<const Piece> pieces) {
  for (std::size_t first = 0; first < pieces.size(); first += kMostPieces) {
    const std::size_t count = std::min<std::size_t>(kMostPieces, pieces.size() - first);
    Pieces some{};
    std::int64_t most = 0;
    for (std::size_t k = 0; k < count; ++k) {
      some.piece[k] = pieces[first + k];
      most = std::max(most, some.piece[k].elements);
    }
    launch(stream, dim3(blocks_for(most, kThreads * kElements), unsigned(count)), kThreads, kernel,
           some);
  }
}

/// One thread per Philox block, which yields four elements.
template <typename E>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const __grid_constant__ CudnnDropout args, std::uint32_t threshold,
                   float scale) {
  const std::int64_t block = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t first = block * kElements;
  if (first >= args.elements) return;
  const math::PhiloxBlock bits =
      math::philox(args.key, std::uint64_t(*args.step), std::uint64_t(block));
#pragma unroll
  for (int k = 0; k < kElements; ++k) {
    if (first + k >= args.elements) return;
    const float x = as_float(static_cast<const E*>(args.in)[first + k]);
    store_rounded(static_cast<E*>(args.out) + first + k,
                  bits.word[k] >= threshold ? x * scale : 0.0F);
  }
}

}  // namespace

void from_float32(cudaStream_t stream, CudnnElement element, std::span<const Piece> pieces) {
  launch_pieces(stream,
                element == CudnnElement::kFloat32    ? &convert_kernel<float, float>
                : element == CudnnElement::kBfloat16 ? &convert_kernel<float, __nv_bfloat16>
                                                     : &convert_kernel<float, __half>,
                pieces);
}

void to_float32(cudaStream_t stream, CudnnElement element, std::span<const Piece> pieces) {
  launch_pieces(stream,
                element == CudnnElement::kFloat32    ? &convert_kernel<float, float>
                : element == CudnnElement::kBfloat16 ? &convert_kernel<__nv_bfloat16, float>
                                                     : &convert_kernel<__half, float>,
                pieces);
}

void dropout(cudaStream_t stream, const CudnnDropout& args) {
  launch(stream, blocks_for(args.elements, kThreads * kElements), kThreads,
         args.element == CudnnElement::kFloat32    ? &dropout_kernel<float>
         : args.element == CudnnElement::kBfloat16 ? &dropout_kernel<__nv_bfloat16>
                                                   : &dropout_kernel<__half>,
         args, math::dropout_threshold(args.rate), 1 / (1 - args.rate));
}

}  // namespace unroll::gpu
