/// The part of nvcuda::wmma that cuda/ may use: factors in bfloat16 or TF32, sums in float32, in
/// the order of k. The lanes do not hold the same elements of a tile as on a GPU.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tests/cuda_emulation/include/cuda_bf16.h"
#include "tests/cuda_emulation/include/emulation.h"

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32;
}

/// Rounds to 10 bits of mantissa, ties away from zero.
inline float __float_to_tf32(float x) {
  if (x != x) return std::bit_cast<float>(0x7FFFFFFFU);  // the hardware's one NaN
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) + 0x1000) & ~0x1FFFU);
}

/// A part of a tile of rows_ x columns_: element i of lane l is element 32 i + l of the tile's
/// rows.
template <typename T, int rows_, int columns_>
struct Tile {
  using Element = T;
  static constexpr int rows = rows_, columns = columns_;
  enum { num_elements = rows * columns / 32 };
  T x[num_elements];
};

template <int m, int n, int k, typename T>
constexpr bool kSupported =
    std::is_same_v<T, __nv_bfloat16> ? k == 16 && m* n == 256 && m >= 8 && n >= 8
                                     : m == 16 && n == 16 && k == 8;
template <typename T>
using Stored = std::conditional_t<std::is_same_v<T, precision::tf32>, float, T>;

template <typename Use, int m, int n, int k, typename T, typename Layout = void>
class fragment;
template <int m, int n, int k, typename T, typename Layout>
class fragment<matrix_a, m, n, k, T, Layout> : public Tile<Stored<T>, m, k> {
  static_assert(kSupported<m, n, k, T> && !std::is_same_v<T, float>);
};
template <int m, int n, int k, typename T, typename Layout>
class fragment<matrix_b, m, n, k, T, Layout> : public Tile<Stored<T>, k, n> {
  static_assert(kSupported<m, n, k, T> && !std::is_same_v<T, float>);
};
template <int m, int n, int k>
class fragment<accumulator, m, n, k, float> : public Tile<float, m, n> {
  static_assert(kSupported<m, n, k, __nv_bfloat16> || kSupported<m, n, k, float>);
};

namespace emulated {

/// An operand as the product uses it.
inline float factor(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
inline float factor(float x) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & ~0x1FFFU);
}

/// A lane's argument of an operation that moves a tile from or to memory.
template <typename Part, typename Pointer>
struct Move {
  Part* part;
  Pointer memory;
  unsigned ldm;
  bool by_rows;
};

/// Copies all elements between tile and memory.
template <typename Copy, typename Part, typename Pointer>
void move(Part& part, Pointer memory, unsigned ldm, bool by_rows) {
  using Arguments = Move<Part, Pointer>;
  Arguments arguments{&part, memory, ldm, by_rows};
  emulation::together(&arguments, [](void* const* lanes) {
    const Arguments first = *static_cast<Arguments*>(lanes[0]);
    if (reinterpret_cast<std::uintptr_t>(first.memory) % 32 != 0)
      emulation::fail("moves a tile from or to an address that is no multiple of 32 bytes");
    if (first.ldm * sizeof(*first.memory) % 16 != 0)
      emulation::fail("moves a tile whose ldm is no multiple of 16 bytes");
    for (unsigned k = 0; k < unsigned(Part::rows * Part::columns); ++k) {
      const Arguments& lane = *static_cast<Arguments*>(lanes[k % 32]);
      if (lane.memory != first.memory || lane.ldm != first.ldm || lane.by_rows != first.by_rows)
        emulation::fail("moves a tile, and lanes say different things of where to");
      const unsigned row = k / Part::columns, column = k % Part::columns;
      const std::size_t at = first.by_rows ? std::size_t{row} * first.ldm + column
                                           : std::size_t{column} * first.ldm + row;
      Copy()(lane.part->x[k / 32], first.memory[at]);
    }
  });
}

struct Load {
  template <typename T>
  void operator()(T& element, const T& memory) const {
    element = memory;
  }
};
struct Store {
  template <typename T>
  void operator()(const T& element, T& memory) const {
    memory = element;
  }
};

}  // namespace emulated

template <typename T, int rows, int columns>
void fill_fragment(Tile<T, rows, columns>& part, T value) {
  for (T& x : part.x) x = value;
}

template <typename Use, int m, int n, int k, typename T, typename Layout>
void load_matrix_sync(fragment<Use, m, n, k, T, Layout>& part, const Stored<T>* memory,
                      unsigned ldm) {
  emulated::move<emulated::Load>(part, memory, ldm, std::is_same_v<Layout, row_major>);
}
template <int m, int n, int k>
void load_matrix_sync(fragment<accumulator, m, n, k, float>& part, const float* memory,
                      unsigned ldm, layout_t layout) {
  emulated::move<emulated::Load>(part, memory, ldm, layout == mem_row_major);
}
template <int m, int n, int k>
void store_matrix_sync(float* memory, const fragment<accumulator, m, n, k, float>& part,
                       unsigned ldm, layout_t layout) {
  emulated::move<emulated::Store>(part, memory, ldm, layout == mem_row_major);
}

/// d = a b + c; d may be c.
template <int m, int n, int k, typename T, typename LayoutA, typename LayoutB>
void mma_sync(fragment<accumulator, m, n, k, float>& d,
              const fragment<matrix_a, m, n, k, T, LayoutA>& a,
              const fragment<matrix_b, m, n, k, T, LayoutB>& b,
              const fragment<accumulator, m, n, k, float>& c) {
  struct Arguments {
    float* d;
    const Stored<T>*a, *b;
    const float* c;
  };
  Arguments arguments{d.x, a.x, b.x, c.x};
  emulation::together(&arguments, [](void* const* lanes) {
    const auto of = [&](int element) -> const Arguments& {
      return *static_cast<const Arguments*>(lanes[element % 32]);
    };
    float factor_a[m * k], factor_b[k * n];
    for (int e = 0; e < m * k; ++e) factor_a[e] = emulated::factor(of(e).a[e / 32]);
    for (int e = 0; e < k * n; ++e) factor_b[e] = emulated::factor(of(e).b[e / 32]);
    for (int row = 0; row < m; ++row) {
      float sums[n];
      for (int j = 0; j < n; ++j) sums[j] = of(row * n + j).c[(row * n + j) / 32];
      for (int q = 0; q < k; ++q)
        for (int j = 0; j < n; ++j) sums[j] += factor_a[row * k + q] * factor_b[q * n + j];
      for (int j = 0; j < n; ++j) of(row * n + j).d[(row * n + j) / 32] = sums[j];
    }
  });
}

}  // namespace nvcuda::wmma
