/// How a block of a persistent kernel multiplies the weights in its shared memory with one stage of
/// the exchanged matrix: by multiply-adds in float32, or by tensor cores. Each warp has one tile of
/// rows and one slice of the depth (persistent_shape.h).
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <mma.h>

#include <cstdint>

#include "cuda/pack.cuh"
#include "cuda/persistent_shape.h"

namespace unroll::gpu {

/// Of a warp.
struct Slice {
  int row_tile, depth_part;
  int begin, end;  // elements of each stage that it multiplies

  __device__ __forceinline__ explicit Slice(const PersistentShape& shape) {
    const int warp = int(threadIdx.x) / 32;
    row_tile = warp % shape.row_warps;
    depth_part = warp / shape.row_warps;
    begin = shape.width / shape.depth_warps * depth_part;
    end = begin + shape.width / shape.depth_warps;
  }
};

/// IEEE float32. A lane has 4 rows of the tile and n sequences. Of eight neighbouring lanes,
/// row_lanes lie across rows and the others divide the depth: with weights of few rows, too, they
/// read different banks.
struct Fp32Product {
  using Element = float;
  static constexpr int kSequences = 4;  // across lanes: a tile has n times as many

  static __device__ __forceinline__ float rounded(float weight) { return weight; }

  template <int n>
  class Sums {
   public:
    __device__ __forceinline__ explicit Sums(const PersistentShape& shape) {
      const int lane = int(threadIdx.x) % 32;
      row_ = lane % shape.row_lanes;
      depth_ = lane % 8 / shape.row_lanes * 4;
      sequence_ = lane / 8;
    }

    /// weights: of the warp's tile; both at the stage's first element.
    __device__ __forceinline__ void add(const PersistentShape& shape, const float* weights,
                                        const float* stage, int begin, int end) {
      const float* const w = weights + row_ * shape.weight_stride + depth_;
      const float* const x = stage + sequence_ * shape.stage_stride + depth_;
      const int w_stride = shape.row_lanes * shape.weight_stride;
      const int x_stride = kSequences * shape.stage_stride, step = 32 / shape.row_lanes;
#pragma unroll 2
      for (int k = begin; k < end; k += step) {
        Pack<float, 4> a[4], b[n];
#pragma unroll
        for (int i = 0; i < 4; ++i) a[i] = load<4>(w + i * w_stride + k);
#pragma unroll
        for (int j = 0; j < n; ++j) b[j] = load<4>(x + j * x_stride + k);
#pragma unroll
        for (int q = 0; q < 4; ++q)
#pragma unroll
          for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int j = 0; j < n; ++j) sum_[i][j] += a[i].v[q] * b[j].v[q];
      }
    }

    /// to: [sequence, row] of the tile.
    __device__ __forceinline__ void store(const PersistentShape& shape, float* to) {
      for (int flip = shape.row_lanes; flip < 8; flip *= 2)
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < n; ++j) sum_[i][j] += __shfl_xor_sync(~0U, sum_[i][j], flip);
      if (depth_ != 0) return;
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < n; ++j)
          to[(j * kSequences + sequence_) * shape.sum_stride + i * shape.row_lanes + row_] =
              sum_[i][j];
    }

   private:
    int row_, depth_, sequence_;
    float sum_[4][n] = {};
  };
};

/// By tensor cores, sums in float32. A warp has 16 rows and n times 16 sequences.
template <typename E, typename Operand, int depth>
struct TensorProduct {
  using Element = E;
  static constexpr int kSequences = 16;

  static __device__ __forceinline__ E rounded(E weight) {
    if constexpr (std::is_same_v<Operand, nvcuda::wmma::precision::tf32>)
      return nvcuda::wmma::__float_to_tf32(weight);
    else
      return weight;
  }

  template <int n>
  class Sums {
   public:
    __device__ __forceinline__ explicit Sums(const PersistentShape&) {
#pragma unroll
      for (int j = 0; j < n; ++j) nvcuda::wmma::fill_fragment(sum_[j], 0.0F);
    }

    __device__ __forceinline__ void add(const PersistentShape& shape, const E* weights,
                                        const E* stage, int begin, int end) {
      using namespace nvcuda::wmma;
#pragma unroll 2
      for (int k = begin; k < end; k += depth) {
        fragment<matrix_a, 16, 16, depth, Operand, row_major> a;
        load_matrix_sync(a, weights + k, unsigned(shape.weight_stride));
#pragma unroll
        for (int j = 0; j < n; ++j) {
          fragment<matrix_b, 16, 16, depth, Operand, col_major> b;
          load_matrix_sync(b, stage + j * 16 * shape.stage_stride + k,
                           unsigned(shape.stage_stride));
          // The weights are rounded since they came into shared memory.
          if constexpr (std::is_same_v<Operand, precision::tf32>)
#pragma unroll
            for (int e = 0; e < b.num_elements; ++e) b.x[e] = __float_to_tf32(b.x[e]);
          mma_sync(sum_[j], a, b, sum_[j]);
        }
      }
    }

    __device__ __forceinline__ void store(const PersistentShape& shape, float* to) {
#pragma unroll
      for (int j = 0; j < n; ++j)
        nvcuda::wmma::store_matrix_sync(to + j * 16 * shape.sum_stride, sum_[j],
                                        unsigned(shape.sum_stride), nvcuda::wmma::mem_col_major);
    }

   private:
    nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, depth, float> sum_[n];
  };
};

using Tf32Product = TensorProduct<float, nvcuda::wmma::precision::tf32, 8>;
using Bf16Product = TensorProduct<__nv_bfloat16, __nv_bfloat16, 16>;

}  // namespace unroll::gpu
