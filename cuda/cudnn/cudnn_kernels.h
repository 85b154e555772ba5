/// The kernels around cuDNN's calls: conversion between float32 and its data type, and dropout
/// between layers.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace unroll::gpu {

/// cuDNN's data type for operands, activations and states.
enum class CudnnElement : std::uint8_t { kFloat32, kBfloat16, kFloat16 };
constexpr std::size_t size_of(CudnnElement element) {
  return element == CudnnElement::kFloat32 ? 4 : 2;
}

/// A run of elements, contiguous on both sides.
struct Piece {
  const void* from;  // null: zeros
  void* to;
  std::int64_t elements;
};
/// Converts float32 to `element`, rounding to nearest even. Values outside the range of float16
/// become infinite.
void from_float32(cudaStream_t stream, CudnnElement element, std::span<const Piece> pieces);
void to_float32(cudaStream_t stream, CudnnElement element, std::span<const Piece> pieces);

/// Like Dropout (unroll/backend.h), for values of cuDNN's type. Aliasing: out may be in.
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
