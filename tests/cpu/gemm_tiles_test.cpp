/// The kernels of products in bfloat16 for processors that have instructions for them, with
/// functions in place of the instructions: packing, loops and remainders are tested everywhere. The
/// functions compute what Intel's manual says of TDPBF16PS and VDPBF16PS.
#include <gtest/gtest.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps

namespace unroll::host::emulated_tiles {
namespace {

/// The tile registers of a processor, and their shapes.
struct Tiles {
  struct Shapes {  // as LDTILECFG reads them
    std::uint8_t palette, start_row, reserved[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
  };
  Shapes shapes{};
  float word[8][16][16] = {};
  bool configured = false;

  void require(bool ok, const char* what) const {
    if (!ok) throw std::logic_error(what);
  }
  int rows(int tile) const {
    require(configured && shapes.rows[tile] > 0, "a tile without a shape");
    return shapes.rows[tile];
  }
  int words(int tile) const { return shapes.row_bytes[tile] / 4; }
};
Tiles tiles;

void _tile_loadconfig(const void* shapes) {
  std::memcpy(&tiles.shapes, shapes, sizeof(tiles.shapes));
  tiles.configured = true;
  tiles.require(tiles.shapes.palette == 1 && tiles.shapes.start_row == 0, "palette 1");
  for (int tile = 0; tile < 16; ++tile) {
    const int rows = tiles.shapes.rows[tile], bytes = tiles.shapes.row_bytes[tile];
    tiles.require(rows <= 16 && bytes <= 64 && bytes % 4 == 0, "the shape of a tile");
    tiles.require(tile < 8 || (rows == 0 && bytes == 0), "eight tiles");
    tiles.require((rows == 0) == (bytes == 0), "rows without columns");
  }
  std::memset(tiles.word, 0, sizeof(tiles.word));
}
void _tile_release() {
  tiles.configured = false;
}
void _tile_zero(int tile) {
  tiles.rows(tile);
  std::memset(tiles.word[tile], 0, sizeof(tiles.word[tile]));
}
void _tile_loadd(int tile, const float* from, std::int64_t stride) {
  _tile_zero(tile);
  for (int r = 0; r < tiles.rows(tile); ++r)
    std::memcpy(tiles.word[tile][r], reinterpret_cast<const char*>(from) + r * stride,
                std::size_t(4 * tiles.words(tile)));
}
void _tile_stored(int tile, float* to, std::int64_t stride) {
  for (int r = 0; r < tiles.rows(tile); ++r)
    std::memcpy(reinterpret_cast<char*>(to) + r * stride, tiles.word[tile][r],
                std::size_t(4 * tiles.words(tile)));
}
/// The lower or the upper half of a word, as a float.
float term(float word, int half) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &word, sizeof(bits));
  bits = half == 0 ? bits << 16 : bits >> 16 << 16;
  std::memcpy(&word, &bits, sizeof(bits));
  return word;
}
void _tile_dpbf16ps(int c, int a, int b) {
  tiles.require(tiles.rows(c) == tiles.rows(a) && tiles.words(c) == tiles.words(b) &&
                    tiles.words(a) == tiles.rows(b),
                "tiles whose shapes agree");
  for (int m = 0; m < tiles.rows(c); ++m)
    for (int n = 0; n < tiles.words(c); ++n) {
      float sum[2] = {};
      for (int half = 0; half < 2; ++half)
        for (int k = 0; k < tiles.words(a); ++k)
          sum[half] =
              std::fma(term(tiles.word[a][m][k], half), term(tiles.word[b][k][n], half), sum[half]);
      tiles.word[c][m][n] += sum[0] + sum[1];
    }
}

}  // namespace
}  // namespace unroll::host::emulated_tiles

// Vectors of 4 floats, which every x86-64 processor has: a panel is as wide.
#define UNROLL_WIDTH_emulated_tiles 4
#define UNROLL_ISA emulated_tiles
#include "host/cpu/gemm_amx_kernel.cpp"
#undef UNROLL_ISA

#include "tests/cpu/gemm_kernel_check.h"

namespace unroll::host {
namespace {

TEST(GemmTiles, MultiplyInEveryShape) {
  check_kernels(emulated_tiles::kBf16GemmKernels);
  EXPECT_FALSE(emulated_tiles::tiles.configured) << "tiles were not released";
}

// A row of A or a column of B that is not finite spoils only its own sums.
TEST(GemmTiles, KeepNanInItsRowAndColumn) {
  const KernelProblem p{20, 9, 40, false, false, false};
  std::mt19937 rng(12);
  std::vector<float> a = random_floats(p.m * p.k, rng), b = random_floats(p.k * p.n, rng);
  a[7 * 40 + 39] = NAN;
  b[3 * 9 + 8] = INFINITY;
  const std::vector<float> c = run_kernel(emulated_tiles::kBf16GemmKernels, p, a, b,
                                          std::vector<float>(std::size_t(p.m * (p.n + 3))));
  for (std::int64_t i = 0; i < p.m; ++i)
    for (std::int64_t j = 0; j < p.n; ++j)
      EXPECT_EQ(std::isfinite(c[std::size_t(i * (p.n + 3) + j)]), i != 7 && j != 8)
          << i << ", " << j;
}

}  // namespace
}  // namespace unroll::host
