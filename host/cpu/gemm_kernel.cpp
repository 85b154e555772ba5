/// The register tiles of the GEMM and the packing of its operands, compiled once per instruction
/// set (see isa.h). A tile is up to kMaxRows rows by up to 8 vectors, all in registers. The fewer
/// rows it has, the more vectors: it takes about 8 independent sums to hide the latency of the
/// multiply-adds.
#include "host/cpu/gemm_kernel.h"

#include "host/cpu/packet.h"

namespace unroll::host::UNROLL_ISA {
namespace {

constexpr std::int64_t kWidth = kPacketWidth;
constexpr std::int64_t kLine = 16;  // floats in a cache line
constexpr int kRegisters = kWidth == 16 ? 32 : 16;
constexpr int kMaxRows = kWidth == 16 ? 14 : kWidth == 8 ? 6 : 4;
static_assert(kMaxRows <= kWidth);  // pack_rows() transposes a tile's rows as one square

// From this many floats of B (12 MiB) on, prefetching pays: it gains a third or more where B comes
// from memory, but costs a tenth where B comes from the L3 cache.
constexpr std::int64_t kFetchB = 3 << 20;
constexpr int kPackAhead = 4;  // how many rows ahead packing along rows prefetches
constexpr int kRowsAhead = 4;  // rows of C prefetched at a time

/// Whether a tile fits into the registers: its sums, the smaller of a row of B and a column of A,
/// and one for the other operand.
constexpr bool fits(int rows, int vectors) {
  return rows * vectors + (rows < vectors ? rows : vectors) + 1 <= kRegisters;
}

struct Tile {
  std::int64_t k;
  const float* a;
  std::int64_t lda;
  const float* b;
  std::int64_t b_stride;
  float* c;
  std::int64_t ldc;
  std::int64_t last_columns;
  bool accumulate;
  GemmAhead ahead;
};

/// Adds the product of one column of A and one row of B.
template <int kRows, int kVectors>
UNROLL_INLINE void multiply_add(Packet (&sum)[kRows][kVectors], const float* a,
                                std::int64_t a_stride, const float* b, std::int64_t b_stride) {
  if constexpr (kVectors <= kRows) {
    Packet row[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) row[v] = load(b + v * b_stride);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Packet x(a[r * a_stride]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = fma(x, row[v], sum[r][v]);
    }
  } else {
    Packet column[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) column[r] = Packet(a[r * a_stride]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Packet y = load(b + v * b_stride);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r][v] = fma(column[r], y, sum[r][v]);
    }
  }
}

template <int kRows, int kVectors, bool kPacked>
void multiply_tile(const Tile& t) {
  Packet sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Packet(0.0f);

  const float* a = t.a;
  const float* b = t.b;
  const std::int64_t b_stride = t.b_stride;
  const std::int64_t lda = kPacked ? 1 : t.lda;
  const auto advance = [&] {
    multiply_add(sum, a, lda, b, b_stride);
    if constexpr (kPacked)
      a += kRows;
    else
      ++a;
    b += kWidth;
  };
  // C and the next block of A are prefetched a few lines at a time: all at once they would fill the
  // queue of misses that the loads of A and B also need.
  std::int64_t k = t.k;
  const float* c_ahead = t.c;
  GemmAhead ahead = t.ahead;
  for (int line = 0; k >= kLine; ++line, k -= kLine) {
    if (line * kRowsAhead < kRows) {
#pragma GCC unroll 4
      for (int r = 0; r < kRowsAhead; ++r, c_ahead += t.ldc)
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; v += kLine / kWidth)
          __builtin_prefetch(c_ahead + v * kWidth, 1);
    }
    if (ahead.columns > 0) {
      for (std::int64_t r = 0; r < ahead.rows; ++r)
        for (int i = 0; i < ahead.lines; ++i)
          __builtin_prefetch(ahead.from + r * ahead.ld + i * kLine, 0, 2);
      ahead.from += ahead.lines * kLine;
      ahead.columns -= ahead.lines * kLine;
    }
#pragma GCC unroll 1
    for (int i = 0; i < kLine; ++i) advance();
  }
  for (; k > 0; --k) advance();

#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    float* const c = t.c + r * t.ldc;
#pragma GCC unroll 8
    for (int v = 0; v + 1 < kVectors; ++v)
      store(c + v * kWidth, t.accumulate ? load(c + v * kWidth) + sum[r][v] : sum[r][v]);
    float* const last = c + (kVectors - 1) * kWidth;
    const Packet x = sum[r][kVectors - 1];
    if (t.last_columns == kWidth)
      store(last, t.accumulate ? load(last) + x : x);
    else
      store(last, t.accumulate ? load(last, t.last_columns) + x : x, t.last_columns);
  }
}

using TileFunction = void (*)(const Tile&);

template <int kRows, int kVectors, bool kPacked>
constexpr TileFunction tile_function() {
  if constexpr (fits(kRows, kVectors))
    return multiply_tile<kRows, kVectors, kPacked>;
  else
    return nullptr;
}

/// The tiles of one height; those that do not fit into the registers are null.
struct TileRow {
  TileFunction of_1, of_2, of_4, of_8;  // by number of vectors
};

template <int kRows, bool kPacked>
constexpr TileRow tile_row() {
  if constexpr (kRows <= kMaxRows)
    return {tile_function<kRows, 1, kPacked>(), tile_function<kRows, 2, kPacked>(),
            tile_function<kRows, 4, kPacked>(), tile_function<kRows, 8, kPacked>()};
  else
    return {};
}

template <bool kPacked>
constexpr TileRow kTiles[] = {
    {},
    tile_row<1, kPacked>(),
    tile_row<2, kPacked>(),
    tile_row<3, kPacked>(),
    tile_row<4, kPacked>(),
    tile_row<5, kPacked>(),
    tile_row<6, kPacked>(),
    tile_row<7, kPacked>(),
    tile_row<8, kPacked>(),
    tile_row<9, kPacked>(),
    tile_row<10, kPacked>(),
    tile_row<11, kPacked>(),
    tile_row<12, kPacked>(),
    tile_row<13, kPacked>(),
    tile_row<14, kPacked>(),
};

/// Divides m rows into tiles of nearly equal height. With full tiles and a low last one, the last
/// would have too few independent sums.
struct RowSplit {
  std::int64_t tiles, each, extra;  // the first `extra` tiles have one more row

  UNROLL_INLINE explicit RowSplit(std::int64_t m, std::int64_t most = kMaxRows)
      : tiles((m + most - 1) / most), each(m / tiles), extra(m % tiles) {}
  UNROLL_INLINE std::int64_t rows(std::int64_t tile) const { return each + (tile < extra ? 1 : 0); }
};

template <bool kPacked>
void multiply_block(const GemmBlock& block) {
  // Rows that are a multiple of 4 KiB apart share a set of the L1 cache, which has at most 12 ways.
  const bool aliased = !kPacked && block.lda % 1024 == 0;
  const RowSplit split(block.m, aliased && kMaxRows > 10 ? 10 : kMaxRows);
  const TileRow tallest = kTiles<kPacked>[split.rows(0)];
  const int widest = tallest.of_8 ? 8 : tallest.of_4 ? 4 : tallest.of_2 ? 2 : 1;

  const std::int64_t tiles = (block.panels + widest - 1) / widest * split.tiles;
  const std::int64_t ahead_rows = (block.ahead.rows + tiles - 1) / tiles;
  std::int64_t ahead_row = 0;
  // Prefetch B only for 7 rows or more: with fewer, the sums wait for B in any case.
  const bool fetch_b = !kPacked && widest <= 2 && block.panels * block.b_stride > kFetchB;

  for (std::int64_t panel = 0; panel < block.panels;) {
    std::int64_t vectors = widest;
    while (vectors > block.panels - panel) vectors /= 2;
    Tile tile{block.k,          block.a,
              block.lda,        block.b + panel * block.b_stride,
              block.b_stride,   block.c + panel * kWidth,
              block.ldc,        panel + vectors == block.panels ? block.last_columns : kWidth,
              block.accumulate, {}};
    for (std::int64_t i = 0; i < split.tiles; ++i) {
      const std::int64_t rows = split.rows(i);
      const TileRow& choice = kTiles<kPacked>[rows];
      if (kPacked && ahead_row < block.ahead.rows) {
        const std::int64_t left = block.ahead.rows - ahead_row;
        tile.ahead = block.ahead;
        tile.ahead.from += ahead_row * tile.ahead.ld;
        tile.ahead.rows = left < ahead_rows ? left : ahead_rows;
        ahead_row += ahead_rows;
      } else if (fetch_b && i < vectors && panel + 2 * vectors <= block.panels) {
        // The next panels of B: all of them during the only row of tiles, or one during each of the
        // first rows.
        tile.ahead = {tile.b + (vectors + i) * block.b_stride, block.b_stride,
                      split.tiles == 1 ? vectors : 1, block.k * kWidth, kWidth};
      } else {
        tile.ahead = {};
      }
      (vectors == 8   ? choice.of_8
       : vectors == 4 ? choice.of_4
       : vectors == 2 ? choice.of_2
                      : choice.of_1)(tile);
      tile.a += rows * (kPacked ? block.k : block.lda);
      tile.c += rows * block.ldc;
    }
    panel += vectors;
  }
}

/// Interleaves the first halves of two vectors, or their second halves.
template <int... kLane>
struct Lanes {
  UNROLL_INLINE static Packet zip_low(Packet a, Packet b) {
    return __builtin_shufflevector(a.v, b.v, (kLane / 2 + (kLane % 2) * kWidth)...);
  }
  UNROLL_INLINE static Packet zip_high(Packet a, Packet b) {
    return __builtin_shufflevector(a.v, b.v, (kWidth / 2 + kLane / 2 + (kLane % 2) * kWidth)...);
  }
};
#if UNROLL_WIDTH == 16
using AllLanes = Lanes<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;
#elif UNROLL_WIDTH == 8
using AllLanes = Lanes<0, 1, 2, 3, 4, 5, 6, 7>;
#else
using AllLanes = Lanes<0, 1, 2, 3>;
#endif

/// Transposes a square of kWidth vectors. Interleaving the two halves of a sequence, element by
/// element, rotates the bits of every index by one; log2(kWidth) times transposes.
UNROLL_INLINE void transpose(Packet (&square)[kWidth]) {
#pragma GCC unroll 4
  for (std::int64_t step = 1; step < kWidth; step *= 2) {
    Packet next[kWidth];
#pragma GCC unroll 8
    for (std::int64_t i = 0; i < kWidth / 2; ++i) {
      next[2 * i] = AllLanes::zip_low(square[i], square[i + kWidth / 2]);
      next[2 * i + 1] = AllLanes::zip_high(square[i], square[i + kWidth / 2]);
    }
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < kWidth; ++i) square[i] = next[i];
  }
}

/// Writes rows [0, rows) of a source that is stored as [k, rows], with `stride` floats from one k
/// to the next. It stores whole vectors in ascending order, so that each overwrites the excess of
/// the one before; up to kWidth - rows floats are written past the end.
void pack_rows(const float* from, std::int64_t ld, std::int64_t rows, std::int64_t k, float* to,
               std::int64_t stride) {
  for (std::int64_t p = 0; p < k; p += kWidth) {
    const std::int64_t depth = k - p < kWidth ? k - p : kWidth;
    Packet square[kWidth];
#pragma GCC unroll 16
    for (int r = 0; r < kWidth; ++r)
      if (r < rows) __builtin_prefetch(from + (r + rows) * ld + p, 0, 2);
    if (depth == kWidth) {
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r)
        square[r] = r < rows ? load(from + r * ld + p) : Packet(0.0f);
    } else {
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r)
        square[r] = r < rows ? load(from + r * ld + p, depth) : Packet(0.0f);
    }
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i)
      if (i < depth) store(to + (p + i) * stride, square[i]);
  }
}

void pack_a(const GemmPack& pack) {
  const RowSplit split(pack.rows);
  if (!pack.transposed) {
    std::int64_t row = 0;
    for (std::int64_t i = 0; i < split.tiles; ++i) {
      const std::int64_t rows = split.rows(i);
      pack_rows(pack.from + row * pack.ld, pack.ld, rows, pack.k, pack.to + row * pack.k, rows);
      row += rows;
    }
    return;
  }
  for (std::int64_t p = 0; p < pack.k; ++p) {  // along the stored rows, to read contiguously
    const float* const from = pack.from + p * pack.ld;
    std::int64_t row = 0;
    for (std::int64_t i = 0; i < split.tiles; ++i) {
      const std::int64_t rows = split.rows(i);
      __builtin_prefetch(from + kPackAhead * pack.ld + row);
      store(pack.to + row * pack.k + p * rows, load(from + row, rows), rows);
      row += rows;
    }
  }
}

void pack_b(const GemmPack& pack) {
  const std::int64_t whole = pack.rows / kWidth * kWidth, rest = pack.rows - whole;
  if (!pack.transposed) {
    for (std::int64_t row = 0; row < pack.rows; row += kWidth)
      pack_rows(pack.from + row * pack.ld, pack.ld, row < whole ? kWidth : rest, pack.k,
                pack.to + row / kWidth * pack.panel_stride, kWidth);
    return;
  }
  for (std::int64_t p = 0; p < pack.k; ++p) {
    const float* const from = pack.from + p * pack.ld;
    float* to = pack.to + p * kWidth;
    for (std::int64_t row = 0; row < whole; row += kWidth, to += pack.panel_stride) {
      __builtin_prefetch(from + kPackAhead * pack.ld + row);
      store(to, load(from + row));
    }
    if (rest > 0) store(to, load(from + whole, rest));
  }
}

}  // namespace

extern const GemmKernels kGemmKernels = {
    kPacketWidth, kMaxRows, pack_a, pack_b, multiply_block<false>, multiply_block<true>,
};

}  // namespace unroll::host::UNROLL_ISA
