/// How a block of a persistent kernel multiplies the weights in its shared memory with one stage of
/// the exchanged matrix: by multiply-adds in float32, or by tensor cores. Each warp has one tile of
/// rows and one slice of the depth (persistent_shape.h).
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/pack.cuh"
#include "cuda/persistent_shape.h"
#include "cuda/tensor_core.cuh"

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

/// By tensor cores, sums in float32. A warp has 16 rows and n times 8 sequences. In which order the
/// depth is multiplied does not matter, as long as it is one for both factors: so that a lane loads
/// 16 bytes at a time, neighbouring words of 64 bytes are those that an instruction, or the next
/// one, expects four apart.
template <typename E>
struct TensorProduct {
  using Element = E;
  static constexpr int kSequences = 8;
  static constexpr bool kIsTf32 = std::is_same_v<E, float>;
  static constexpr int kStep = 64 / sizeof(E);  // of the depth

  static __device__ __forceinline__ E rounded(E weight) {
    if constexpr (kIsTf32)
      return round_to_tf32(weight);
    else
      return weight;
  }

  template <int n>
  class Sums {
   public:
    __device__ __forceinline__ explicit Sums(const PersistentShape&)
        : row_(int(threadIdx.x) % 32 / 4), part_(int(threadIdx.x) % 4) {}

    __device__ __forceinline__ void add(const PersistentShape& shape, const E* weights,
                                        const E* stage, int begin, int end) {
      const E* const w = weights + row_ * shape.weight_stride + part_ * (kStep / 4);
      const E* const x = stage + row_ * shape.stage_stride + part_ * (kStep / 4);
#pragma unroll 2
      for (int k = begin; k < end; k += kStep) {
        const Words upper = words(w + k), lower = words(w + 8 * shape.weight_stride + k);
        Words b[n];
#pragma unroll
        for (int j = 0; j < n; ++j) {
          b[j] = words(x + j * 8 * shape.stage_stride + k);
          // The weights are rounded since they came into shared memory.
          if constexpr (kIsTf32)
#pragma unroll
            for (std::uint32_t& word : b[j].v)
              word = __float_as_uint(round_to_tf32(__uint_as_float(word)));
        }
#pragma unroll
        for (int j = 0; j < n; ++j)
#pragma unroll
          for (int half = 0; half < 4; half += 2)
            multiply_words(sum_[j],
                           {upper.v[half], lower.v[half], upper.v[half + 1], lower.v[half + 1]},
                           {b[j].v[half], b[j].v[half + 1]});
      }
    }

    __device__ __forceinline__ void store(const PersistentShape& shape, float* to) {
#pragma unroll
      for (int j = 0; j < n; ++j)
#pragma unroll
        for (int k = 0; k < 4; ++k)
          to[(j * 8 + part_ * 2 + k % 2) * shape.sum_stride + row_ + k / 2 * 8] = sum_[j][k];
    }

   private:
    using Words = Pack<std::uint32_t, 4>;

    static __device__ __forceinline__ Words words(const E* from) {
      const auto elements = load<16 / sizeof(E)>(from);
      Words words;
      memcpy(&words, &elements, sizeof words);
      return words;
    }
    static __device__ __forceinline__ void multiply_words(float (&c)[4],
                                                          const std::uint32_t (&a)[4],
                                                          const std::uint32_t (&b)[2]) {
      if constexpr (kIsTf32)
        multiply_tf32(c, a, b);
      else
        multiply_bf16(c, a, b);
    }

    int row_, part_;  // row: of the factors, by lane / 4; part: lane % 4
    float sum_[n][4] = {};
  };
};

using Tf32Product = TensorProduct<float>;
using Bf16Product = TensorProduct<__nv_bfloat16>;

}  // namespace unroll::gpu
