/// Matrix products in bfloat16 by AMX: tile registers of up to 16 rows of 64 bytes, and an
/// instruction, TDPBF16PS, that adds the product of two of them to a third.
///
/// Panels of B are those of gemm_kernel.cpp: 16 of their rows, each of a word from every column,
/// are a tile. A is packed row by row, so 16 words of up to 16 rows are a tile, too. Four sums are
/// in registers at a time: two tiles of rows by two panels. Rows are divided evenly, because a tile
/// takes time in proportion to its rows.
///
/// The instruction adds up the first terms of its 16 pairs in one chain of fused multiply-adds, the
/// second terms in another, then both sums, and that to C. It rounds to nearest even, and takes
/// subnormal numbers as zero. Source: Intel 64 and IA-32 Architectures Software Developer's Manual,
/// volume 2, TDPBF16PS.
///
/// tests/cpu/gemm_tiles_test.cpp runs this file with its own functions in place of the
/// instructions.
#include "host/cpu/gemm_pack.h"

namespace unroll::host::UNROLL_ISA {
namespace {

constexpr std::int64_t kTileRows = 16, kTileWords = 16;
constexpr std::int64_t kBytes = 4;  // of a word
using TilePairs = Pairs<2 * kTileWords>;

/// The compiler's functions for tiles do not tell it which memory they read and write.
UNROLL_INLINE void finish_memory_accesses() {
  __asm__ volatile("" ::: "memory");
}

/// The operand of LDTILECFG: the shapes of tiles 0 to 7.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

/// Tiles 0 and 1 are C's for the first rows, 2 and 3 for the second ones; 4 and 5 are A's, 6 and 7
/// B's. `second` is 0 if there are only first rows.
void shape_tiles(std::int64_t first, std::int64_t second) {
  TileShapes shapes;
  const auto set = [&](int tile, std::int64_t rows, std::int64_t words) {
    shapes.rows[tile] = static_cast<std::uint8_t>(rows);
    shapes.row_bytes[tile] = static_cast<std::uint16_t>(rows > 0 ? words * kBytes : 0);
  };
  set(0, first, kWidth);
  set(1, first, kWidth);
  set(2, second, kWidth);
  set(3, second, kWidth);
  set(4, first, kTileWords);
  set(5, second, kTileWords);
  set(6, kTileWords, kWidth);
  set(7, kTileWords, kWidth);
  finish_memory_accesses();
  _tile_loadconfig(&shapes);
}

/// Two tiles of rows by two panels, or one of either. The second ones begin where `_2` says.
struct TileProduct {
  std::int64_t words;
  const float* a;
  const float* a_2;
  std::int64_t a_stride;  // bytes, as all strides here
  const float* b;
  const float* b_2;
  float* c[4];  // of tiles 0 to 3
  std::int64_t c_stride[4];
  bool accumulate;
};

template <bool kTwoRows, bool kTwoPanels>
void multiply_tiles(const TileProduct& t) {
  constexpr std::int64_t kPanelBytes = kWidth * kBytes;
  finish_memory_accesses();
  if (t.accumulate) {
    _tile_loadd(0, t.c[0], t.c_stride[0]);
    if constexpr (kTwoPanels) _tile_loadd(1, t.c[1], t.c_stride[1]);
    if constexpr (kTwoRows) _tile_loadd(2, t.c[2], t.c_stride[2]);
    if constexpr (kTwoRows && kTwoPanels) _tile_loadd(3, t.c[3], t.c_stride[3]);
  } else {
    _tile_zero(0);
    if constexpr (kTwoPanels) _tile_zero(1);
    if constexpr (kTwoRows) _tile_zero(2);
    if constexpr (kTwoRows && kTwoPanels) _tile_zero(3);
  }
  for (std::int64_t w = 0; w < t.words; w += kTileWords) {
    _tile_loadd(6, t.b + w * kWidth, kPanelBytes);
    _tile_loadd(4, t.a + w, t.a_stride);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTwoPanels) {
      _tile_loadd(7, t.b_2 + w * kWidth, kPanelBytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTwoRows) {
      _tile_loadd(5, t.a_2 + w, t.a_stride);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kTwoPanels) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, t.c[0], t.c_stride[0]);
  if constexpr (kTwoPanels) _tile_stored(1, t.c[1], t.c_stride[1]);
  if constexpr (kTwoRows) _tile_stored(2, t.c[2], t.c_stride[2]);
  if constexpr (kTwoRows && kTwoPanels) _tile_stored(3, t.c[3], t.c_stride[3]);
  finish_memory_accesses();
}

void multiply_tiles(const TileProduct& t, bool two_rows, bool two_panels) {
  if (two_rows) return two_panels ? multiply_tiles<true, true>(t) : multiply_tiles<true, false>(t);
  return two_panels ? multiply_tiles<false, true>(t) : multiply_tiles<false, false>(t);
}

/// A panel of C that is not whole: its tiles go through a copy.
class PartialPanel {
 public:
  explicit PartialPanel(std::int64_t columns) : columns_(columns) {}

  float* in(const float* c, std::int64_t ldc, std::int64_t rows, bool accumulate) {
    for (std::int64_t r = 0; accumulate && r < rows; ++r)
      store(copy_[r], load(c + r * ldc, columns_));
    return copy_[0];
  }
  void out(float* c, std::int64_t ldc, std::int64_t rows) const {
    for (std::int64_t r = 0; r < rows; ++r) store(c + r * ldc, load(copy_[r]), columns_);
  }

 private:
  std::int64_t columns_;
  float copy_[kTileRows][kWidth];
};

void multiply_block(const GemmBlock& block) {
  const RowSplit split(block.m, kTileRows);
  PartialPanel partial[2] = {PartialPanel(block.last_columns), PartialPanel(block.last_columns)};
  std::int64_t shaped[2] = {-1, -1};
  for (std::int64_t panel = 0; panel < block.panels; panel += 2) {
    const bool two_panels = panel + 1 < block.panels;
    const bool is_partial = panel + 2 >= block.panels && block.last_columns < kWidth;
    const int last = two_panels ? 1 : 0;
    std::int64_t row = 0;
    for (std::int64_t i = 0; i < split.tiles; i += 2) {
      const bool two_rows = i + 1 < split.tiles;
      const std::int64_t rows[2] = {split.rows(i), two_rows ? split.rows(i + 1) : 0};
      if (rows[0] != shaped[0] || rows[1] != shaped[1])
        shape_tiles(shaped[0] = rows[0], shaped[1] = rows[1]);
      TileProduct t{};
      t.words = block.k;
      t.a = block.a + row * block.k;
      t.a_2 = t.a + rows[0] * block.k;
      t.a_stride = block.k * kBytes;
      t.b = block.b + panel * block.b_stride;
      t.b_2 = t.b + block.b_stride;
      t.accumulate = block.accumulate;
      float* const c = block.c + row * block.ldc + panel * kWidth;
      for (int k = 0; k < 4; ++k) {
        t.c[k] = c + k / 2 * rows[0] * block.ldc + k % 2 * kWidth;
        t.c_stride[k] = block.ldc * kBytes;
        if (!is_partial || k % 2 != last) continue;
        t.c[k] = partial[k / 2].in(t.c[k], block.ldc, rows[k / 2], block.accumulate);
        t.c_stride[k] = kWidth * kBytes;
      }
      multiply_tiles(t, two_rows, two_panels);
      for (int k = 0; is_partial && k < 2; ++k)
        partial[k].out(c + k * rows[0] * block.ldc + last * kWidth, block.ldc, rows[k]);
      row += rows[0] + rows[1];
    }
  }
  _tile_release();
}

/// Row by row, words_of() words each.
void pack_a(const GemmPack& pack) {
  const std::int64_t words = words_of<TilePairs>(pack.k);
  if (!pack.transposed) {
    for (std::int64_t row = 0; row < pack.rows; ++row)
      for (std::int64_t w = 0; w < words; w += kWidth)
        store(pack.to + row * words + w,
              load_words<TilePairs>(pack.from + row * pack.ld + 2 * w, pack.k - 2 * w));
    return;
  }
  for (std::int64_t w = 0; w < words; w += kWidth)
    for (std::int64_t row = 0; row < pack.rows; row += kWidth) {
      const std::int64_t rows = pack.rows - row < kWidth ? pack.rows - row : kWidth;
      Packet square[kWidth];
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; ++i)
        square[i] = load_across<TilePairs>(pack.from + 2 * (w + i) * pack.ld + row, pack.ld,
                                           pack.k - 2 * (w + i), rows);
      transpose(square);
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r)
        if (r < rows) store(pack.to + (row + r) * words + w, square[r]);
    }
}

}  // namespace

extern const GemmKernels kBf16GemmKernels = {
    kPacketWidth, kTileRows,         2 * kGemmDepth, TilePairs::kTerms, TilePairs::kUnit,
    pack_a,       pack_b<TilePairs>, nullptr,        multiply_block,
};

}  // namespace unroll::host::UNROLL_ISA
