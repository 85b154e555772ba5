#include "host/graph/orthonormalize.h"

#include <algorithm>
#include <cmath>

namespace unroll {
namespace {

// A product is never fused with a sum (no clone has fused instructions), and a sum is made in
// kLanes parts, so that bits do not depend on the width of the processor's vectors. Sanitizers
// cannot start beside a choice that is made while the program is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define UNROLL_ALSO_FOR_AVX2 [[gnu::target_clones("avx2", "default")]]
#else
#define UNROLL_ALSO_FOR_AVX2
#endif

constexpr std::size_t kLanes = 4;
using Lanes [[gnu::vector_size(kLanes * sizeof(double))]] = double;
using UnalignedLanes
    [[gnu::vector_size(kLanes * sizeof(double)), gnu::aligned(sizeof(double)), gnu::may_alias]] =
        double;

[[gnu::always_inline]] inline UnalignedLanes& lanes(double* at) {
  return *reinterpret_cast<UnalignedLanes*>(at);
}

/// Vectors that are subtracted from all later ones together, and how many of those at a time, so
/// that a strip of both stays in the nearest cache.
constexpr std::size_t kPanel = 16, kLater = 8, kStrip = 128;
/// How many of both have products that stay in registers.
constexpr std::size_t kTile = 4, kLaterTile = 2;

using Products = double[kLater][kPanel];

/// products[l][p] = panel[p] . later[l]
UNROLL_ALSO_FOR_AVX2 void multiply(const Vectors& panel, const Vectors& later, Products& products) {
  Lanes sums[kLater][kPanel] = {};
  const std::size_t whole = panel.size / kLanes * kLanes;
  for (std::size_t begin = 0; begin < whole; begin += kStrip)
    for (std::size_t p = 0; p < panel.count; p += kTile)
      for (std::size_t l = 0; l < later.count; l += kLaterTile) {
        // What the last tile lacks is computed twice.
        double *v[kTile], *u[kLaterTile];
        for (std::size_t k = 0; k < kTile; ++k) v[k] = panel.at(std::min(p + k, panel.count - 1));
        for (std::size_t k = 0; k < kLaterTile; ++k)
          u[k] = later.at(std::min(l + k, later.count - 1));
        Lanes tile[kLaterTile][kTile] = {};
        for (std::size_t i = begin; i < std::min(begin + kStrip, whole); i += kLanes) {
#pragma GCC unroll 4
          for (std::size_t k = 0; k < kTile; ++k)
#pragma GCC unroll 2
            for (std::size_t j = 0; j < kLaterTile; ++j)
              tile[j][k] += lanes(u[j] + i) * lanes(v[k] + i);
        }
        for (std::size_t j = 0; j < kLaterTile; ++j)
          for (std::size_t k = 0; k < kTile; ++k) sums[l + j][p + k] += tile[j][k];
      }
  for (std::size_t l = 0; l < later.count; ++l)
    for (std::size_t p = 0; p < panel.count; ++p) {
      double total = 0;
      for (std::size_t i = whole; i < panel.size; ++i) total += later.at(l)[i] * panel.at(p)[i];
      for (std::size_t lane = 0; lane < kLanes; ++lane) total += sums[l][p][lane];
      products[l][p] = total;
    }
}

/// later[l] -= sum over p of products[l][p] panel[p]
UNROLL_ALSO_FOR_AVX2 void subtract(const Vectors& panel, const Vectors& later,
                                   const Products& products) {
  constexpr std::size_t kTogether = 2 * kLanes;
  const std::size_t whole = panel.size / kTogether * kTogether;
  for (std::size_t begin = 0; begin < whole; begin += kStrip)
    for (std::size_t l = 0; l < later.count; ++l)
      for (std::size_t i = begin; i < std::min(begin + kStrip, whole); i += kTogether) {
        double* u = later.at(l) + i;
        Lanes low = lanes(u), high = lanes(u + kLanes);
        for (std::size_t p = 0; p < panel.count; ++p) {
          low -= products[l][p] * lanes(panel.at(p) + i);
          high -= products[l][p] * lanes(panel.at(p) + i + kLanes);
        }
        lanes(u) = low;
        lanes(u + kLanes) = high;
      }
  for (std::size_t i = whole; i < panel.size; ++i)
    for (std::size_t l = 0; l < later.count; ++l)
      for (std::size_t p = 0; p < panel.count; ++p)
        later.at(l)[i] -= products[l][p] * panel.at(p)[i];
}

/// Makes `later` orthogonal to the orthonormal `panel`.
void project_out(const Vectors& panel, const Vectors& later) {
  Products products;
  for (std::size_t l = 0; l < later.count; l += kLater) {
    const Vectors some{later.at(l), std::min(kLater, later.count - l), later.size};
    multiply(panel, some, products);
    subtract(panel, some, products);
  }
}

void normalize(double* v, std::size_t size) {
  Products product;
  multiply({v, 1, size}, {v, 1, size}, product);
  const double scale = 1 / std::sqrt(product[0][0]);
  for (std::size_t i = 0; i < size; ++i) v[i] *= scale;
}

}  // namespace

void orthonormalize(const Vectors& vectors) {
  const std::size_t size = vectors.size;
  for (std::size_t first = 0; first < vectors.count; first += kPanel) {
    const std::size_t end = std::min(first + kPanel, vectors.count);
    for (std::size_t k = first; k < end; ++k) {
      normalize(vectors.at(k), size);
      project_out({vectors.at(k), 1, size}, {vectors.at(k) + size, end - k - 1, size});
    }
    project_out({vectors.at(first), end - first, size},
                {vectors.values + end * size, vectors.count - end, size});
  }
}

}  // namespace unroll
