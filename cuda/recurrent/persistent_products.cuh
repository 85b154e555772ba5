/// How a block of a persistent kernel multiplies the weights in its shared memory with one stage of
/// the exchanged matrix: by float32 multiply-adds or by tensor cores. Each warp has one tile of
/// rows and one slice of the depth (persistent_shape.h).
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/kernels/pack.cuh"
#include "cuda/kernels/tensor_core.cuh"
#include "cuda/recurrent/persistent_shape.h"

namespace unroll::gpu {

/// The part of the product that one warp computes.
struct WarpSlice {
  int row_tile, depth_part;
  int begin, end;  // its elements of each stage

  __device__ __forceinline__ explicit WarpSlice(const PersistentShape& shape) {
    const int warp = int(threadIdx.x) / 32;
    row_tile = warp % shape.row_warps;
    depth_part = warp / shape.row_warps;
    begin = shape.width / shape.depth_warps * depth_part;
    end = begin + shape.width / shape.depth_warps;
  }
};

/// An element of a weight that a block holds: a row of the product, and a column of its depth.
struct WeightPlace {
  int row, column;
};

/// A part of the depth within a stage.
struct DepthRange {
  int begin, end;
};

/// IEEE float32. A lane has 4 rows of the tile and n sequences. Among eight neighbouring lanes,
/// row_lanes lie across rows, and the others divide the depth. So the lanes read different banks
/// even if the weights have few rows.
struct Fp32Product {
  using Element = float;
  static constexpr int kSequences = 4;  // across lanes; a tile has n times as many

  /// Weights are stored row by row, weight_stride apart.
  static constexpr int kColumnStride = 1;
  template <int count>
  static __device__ __forceinline__ void store_weights(const PersistentShape& shape, float* weights,
                                                       const WeightPlace& place,
                                                       const Pack<float, count>& pack) {
    store(weights + place.row * shape.weight_stride + place.column, pack);
  }

  template <int n>
  class Sums {
   public:
    __device__ __forceinline__ explicit Sums(const PersistentShape& shape) {
      const int lane = int(threadIdx.x) % 32;
      row_ = lane % shape.row_lanes;
      depth_ = lane % 8 / shape.row_lanes * 4;
      sequence_ = lane / 8;
    }

    /// weights: those of the warp's tile. Both pointers are at the first element of the stage.
    __device__ __forceinline__ void add(const PersistentShape& shape, const float* weights,
                                        const float* stage, const DepthRange& depth) {
      const float* const w = weights + row_ * shape.weight_stride + depth_;
      const float* const x = stage + sequence_ * shape.stage_stride + depth_;
      const int w_stride = shape.row_lanes * shape.weight_stride;
      const int x_stride = kSequences * shape.stage_stride, step = 32 / shape.row_lanes;
#pragma unroll 2
      for (int k = depth.begin; k < depth.end; k += step) {
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

/// Tensor cores, with sums in float32. A warp has 16 rows and n times 8 sequences. The depth may be
/// multiplied in any order that is the same for both factors. So that a lane can load 16 bytes at a
/// time, neighbouring words of 64 bytes serve as words that an instruction, or the next one,
/// expects four apart.
template <typename E>
struct TensorProduct {
  using Element = E;
  static constexpr int kSequences = 8;
  static constexpr bool kIsTf32 = std::is_same_v<E, float>;
  static constexpr int kStep = 64 / sizeof(E);  // along the depth: two instructions
  static constexpr int kPack = 16 / sizeof(E), kWord = 4 / sizeof(E);

  /// Weights are stored in the order of the instructions: [tile of 16 rows, step, instruction,
  /// lane, 4 words]. A lane loads its whole operand at once, without bank conflicts and without
  /// padding.
  static constexpr int kColumnStride = 16;
  template <int count>
  static __device__ __forceinline__ void store_weights(const PersistentShape& shape, E* weights,
                                                       const WeightPlace& at,
                                                       const Pack<E, count>& pack) {
    const int row = at.row, column = at.column;
    constexpr int kTogether = count < kWord ? count : kWord;
    E* const tile = weights + row / 16 * 16 * shape.weight_stride + column / kStep * kStep * 16;
#pragma unroll
    for (int k = 0; k < count; k += kTogether) {
      const int word = (column + k) % kPack / kWord;
      const int lane = row % 8 * 4 + column % kStep / kPack;
      const int place = (word / 2 * 32 + lane) * 4 + word % 2 * 2 + row % 16 / 8;
      Pack<E, kTogether> part;
#pragma unroll
      for (int q = 0; q < kTogether; ++q) part.v[q] = rounded(pack.v[k + q]);
      gpu::store(tile + place * kWord + (column + k) % kWord, part);
    }
  }

  template <int n>
  class Sums {
   public:
    __device__ __forceinline__ explicit Sums(const PersistentShape&) {}

    __device__ __forceinline__ void add(const PersistentShape& shape, const E* weights,
                                        const E* stage, const DepthRange& depth) {
      const E* const w = weights + lane() * kPack;
      const E* const x = stage + lane() / 4 * shape.stage_stride + lane() % 4 * kPack;
#pragma unroll 2
      for (int k = depth.begin; k < depth.end; k += kStep) {
        const Words a[2] = {words(w + k * 16), words(w + k * 16 + 32 * kPack)};
        Words b[n];
#pragma unroll
        for (int j = 0; j < n; ++j) {
          b[j] = words(x + j * 8 * shape.stage_stride + k);
          // The weights were rounded when they were loaded into shared memory.
          if constexpr (kIsTf32)
#pragma unroll
            for (std::uint32_t& word : b[j].v)
              word = __float_as_uint(round_to_tf32(__uint_as_float(word)));
        }
#pragma unroll
        for (int half = 0; half < 2; ++half)
#pragma unroll
          for (int j = 0; j < n; ++j)
            multiply_words(sum_[half % kChains][j], a[half].v,
                           {b[j].v[2 * half], b[j].v[2 * half + 1]});
      }
    }

    /// to: [sequence, row] of the tile.
    __device__ __forceinline__ void store(const PersistentShape& shape, float* to) {
      to += lane() % 4 * 2 * shape.sum_stride + lane() / 4;
#pragma unroll
      for (int j = 0; j < n; ++j)
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          float sum = sum_[0][j][k];
          if constexpr (kChains == 2) sum += sum_[1][j][k];
          to[(j * 8 + k % 2) * shape.sum_stride + k / 2 * 8] = sum;
        }
    }

   private:
    using Words = Pack<std::uint32_t, 4>;
    /// Products that add to the same registers wait for each other. With few sequences there are
    /// too few other products to fill the time, so the sums are kept in two sets.
    static constexpr int kChains = n <= 2 ? 2 : 1;

    static __device__ __forceinline__ int lane() {
      return int(threadIdx.x) % 32;
    }
    static __device__ __forceinline__ Words words(const E* from) {
      const auto elements = load<kPack>(from);
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

    float sum_[kChains][n][4] = {};
  };

 private:
  static __device__ __forceinline__ E rounded(E weight) {
    if constexpr (kIsTf32)
      return round_to_tf32(weight);
    else
      return weight;
  }
};

using Tf32Product = TensorProduct<float>;
using Bf16Product = TensorProduct<__nv_bfloat16>;

}  // namespace unroll::gpu
