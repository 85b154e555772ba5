/// What goes on around cuDNN's calls: values come from float32 into its data type and back, and
/// are dropped between layers.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace unroll::gpu {

/// cuDNN's data type, of operands, activations and states.
enum class CudnnElement : std::uint8_t { kFloat32, kBfloat16, kFloat16 };
constexpr std::size_t size_of(CudnnElement element) {
  return element == CudnnElement::kFloat32 ? 4 : 2;
}

/// Elements that lie next to each other on both sides.
struct Piece {
  const void* from;  // null: zeros
  void* to;
  std::int64_t elements;
};
/// From float32 into `element`, rounded to nearest even. What float16 does not reach is infinite.
void from_float32(cudaStream_t stream, CudnnElement element, std::span<const Piece> pieces);
void to_float32(cudaStream_t stream, CudnnElement element, std::span<const Piece> pieces);

/// As Dropout (unroll/backend.h), on values of cuDNN's type. Aliasing: out may be in.
struct CudnnDropout {
  const void* in;
  void* out;
  std::int64_t elements;
  CudnnElement element;
  float rate;
  std::uint64_t key;
  const std::int64_t* step;  // [1]
};
void dropout(cudaStream_t stream, const CudnnDropout& args);

}  // namespace unroll::gpu
