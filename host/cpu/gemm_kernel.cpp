/// The register tiles of the GEMM, compiled once per instruction set (see isa.h). A tile is up to
/// kMaxRows rows by up to 8 vectors, all in registers. The fewer rows it has, the more vectors: it
/// takes about 8 independent sums to hide the latency of the multiply-adds.
///
/// In bfloat16 B is packed as pairs of terms. Without an instruction for them, A is packed as
/// floats that hold rounded values, and each vector of pairs becomes two vectors of floats: the
/// second terms and the first ones. With one (UNROLL_BF16_DOT=1), A is packed as pairs, too. Both
/// add the second term of a pair first, as VDPBF16PS does, and a product of two bfloat16 numbers is
/// exact in float32, so both give the same bits, whether multiply-adds are fused or not.
#include "host/cpu/gemm_pack.h"

#if !defined(UNROLL_BF16_DOT)
#define UNROLL_BF16_DOT 0
#endif

namespace unroll::host::UNROLL_ISA {
namespace {

constexpr std::int64_t kLine = 16;  // words in a cache line
constexpr int kRegisters = kWidth == 16 ? 32 : 16;
constexpr int kMaxRows = kWidth == 16 ? 14 : kWidth == 8 ? 6 : 4;
static_assert(kMaxRows <= kWidth);  // pack_rows() transposes a tile's rows as one square

// From this many floats of B (12 MiB) on, prefetching pays: it gains a third or more where B comes
// from memory, but costs a tenth where B comes from the L3 cache.
constexpr std::int64_t kFetchB = 3 << 20;
constexpr int kRowsAhead = 4;  // rows of C prefetched at a time

/// Whether a tile fits into the registers: its sums, the smaller of a row of B and a column of A,
/// and one for the other operand.
constexpr bool fits(int rows, int vectors) {
  return rows * vectors + (rows < vectors ? rows : vectors) + 1 <= kRegisters;
}

/// What a tile multiplies.
enum class Form {
  kInPlace,  // floats; A is not packed
  kFloats,   // floats
  kWidened,  // bfloat16: A in floats, B in pairs
  kPairs,    // bfloat16: both in pairs
};

/// Floats of packed A for each row and word of B.
constexpr std::int64_t words_of_a(Form form) {
  return form == Form::kWidened ? 2 : 1;
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

/// How words become factors.
struct WholeWords {
  UNROLL_INLINE static Packet of_a(const float* a) { return Packet(*a); }
  UNROLL_INLINE static Packet of_b(const float* b) { return load(b); }
  UNROLL_INLINE static Packet add_product(Packet a, Packet b, Packet sum) { return fma(a, b, sum); }
};
/// The first terms of pairs in B, or the second ones.
struct FirstTerms : WholeWords {
  UNROLL_INLINE static Packet widen(Packet pairs) { return Packet(pairs.bits() << 16); }
  UNROLL_INLINE static Packet of_b(const float* b) { return widen(load(b)); }
};
struct SecondTerms : WholeWords {
  UNROLL_INLINE static Packet widen(Packet pairs) { return Packet(pairs.bits() & -0x10000); }
  UNROLL_INLINE static Packet of_b(const float* b) { return widen(load(b)); }
};
#if UNROLL_BF16_DOT
struct BothTerms {
  UNROLL_INLINE static Packet of_a(const float* a) {
    std::int32_t word;
    __builtin_memcpy(&word, a, sizeof(word));
    return Packet(word - IntVector{});
  }
  UNROLL_INLINE static Packet of_b(const float* b) { return load(b); }
  UNROLL_INLINE static Packet add_product(Packet a, Packet b, Packet sum) {
#if defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a.v),
                            reinterpret_cast<__m512bh>(b.v));
#else  // for tests: what the instruction computes
    return fma(FirstTerms::widen(a), FirstTerms::widen(b),
               fma(SecondTerms::widen(a), SecondTerms::widen(b), sum));
#endif
  }
};
#endif

/// Adds the product of one column of A and one row of B.
template <typename Words, int kRows, int kVectors>
UNROLL_INLINE void multiply_add(Packet (&sum)[kRows][kVectors], const float* a,
                                std::int64_t a_stride, const float* b, std::int64_t b_stride) {
  if constexpr (kVectors <= kRows) {
    Packet row[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) row[v] = Words::of_b(b + v * b_stride);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Packet x = Words::of_a(a + r * a_stride);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = Words::add_product(x, row[v], sum[r][v]);
    }
  } else {
    Packet column[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) column[r] = Words::of_a(a + r * a_stride);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Packet y = Words::of_b(b + v * b_stride);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r][v] = Words::add_product(column[r], y, sum[r][v]);
    }
  }
}

template <int kRows, int kVectors, Form kForm>
void multiply_tile(const Tile& t) {
  Packet sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Packet(0.0f);

  const float* a = t.a;
  const float* b = t.b;
  const std::int64_t b_stride = t.b_stride;
  const auto advance = [&] {
    if constexpr (kForm == Form::kInPlace) {
      multiply_add<WholeWords>(sum, a, t.lda, b, b_stride);
      ++a;
    } else {
      if constexpr (kForm == Form::kFloats) {
        multiply_add<WholeWords>(sum, a, 1, b, b_stride);
      } else if constexpr (kForm == Form::kWidened) {
        multiply_add<SecondTerms>(sum, a + kRows, 1, b, b_stride);
        multiply_add<FirstTerms>(sum, a, 1, b, b_stride);
      } else {
#if UNROLL_BF16_DOT
        multiply_add<BothTerms>(sum, a, 1, b, b_stride);
#endif
      }
      a += kRows * words_of_a(kForm);
    }
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

template <int kRows, int kVectors, Form kForm>
constexpr TileFunction tile_function() {
  if constexpr (fits(kRows, kVectors))
    return multiply_tile<kRows, kVectors, kForm>;
  else
    return nullptr;
}

/// The tiles of one height; those that do not fit into the registers are null.
struct TileRow {
  TileFunction of_1, of_2, of_4, of_8;  // by number of vectors
};

template <int kRows, Form kForm>
constexpr TileRow tile_row() {
  if constexpr (kRows <= kMaxRows)
    return {tile_function<kRows, 1, kForm>(), tile_function<kRows, 2, kForm>(),
            tile_function<kRows, 4, kForm>(), tile_function<kRows, 8, kForm>()};
  else
    return {};
}

template <Form kForm>
constexpr TileRow kTiles[] = {
    {},
    tile_row<1, kForm>(),
    tile_row<2, kForm>(),
    tile_row<3, kForm>(),
    tile_row<4, kForm>(),
    tile_row<5, kForm>(),
    tile_row<6, kForm>(),
    tile_row<7, kForm>(),
    tile_row<8, kForm>(),
    tile_row<9, kForm>(),
    tile_row<10, kForm>(),
    tile_row<11, kForm>(),
    tile_row<12, kForm>(),
    tile_row<13, kForm>(),
    tile_row<14, kForm>(),
};

template <Form kForm>
void multiply_block(const GemmBlock& block) {
  constexpr bool kPacked = kForm != Form::kInPlace;
  // Rows that are a multiple of 4 KiB apart share a set of the L1 cache, which has at most 12 ways.
  const bool aliased = !kPacked && block.lda % 1024 == 0;
  const RowSplit split(block.m, aliased && kMaxRows > 10 ? 10 : kMaxRows);
  const TileRow tallest = kTiles<kForm>[split.rows(0)];
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
      const TileRow& choice = kTiles<kForm>[rows];
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
      tile.a += rows * (kPacked ? block.k * words_of_a(kForm) : block.lda);
      tile.c += rows * block.ldc;
    }
    panel += vectors;
  }
}

/// Packs tiles of rows of A.
template <typename Words>
void pack_a(const GemmPack& pack) {
  const RowSplit split(pack.rows, kMaxRows);
  const std::int64_t words = words_of<Words>(pack.k);
  if (!pack.transposed) {
    std::int64_t row = 0;
    for (std::int64_t i = 0; i < split.tiles; ++i) {
      const std::int64_t rows = split.rows(i);
      pack_rows<Words>(pack.from + row * pack.ld, pack.ld, rows, pack.k, pack.to + row * words,
                       rows);
      row += rows;
    }
    return;
  }
  // Some rows at a time, so that both the lines read and the lines written stay in the L1 cache.
  for (std::int64_t begin = 0; begin < words; begin += kLine) {
    const std::int64_t end = words - begin < kLine ? words : begin + kLine;
    std::int64_t row = 0;
    for (std::int64_t i = 0; i < split.tiles; ++i) {
      const std::int64_t rows = split.rows(i);
      float* const to = pack.to + row * words;
      for (std::int64_t w = begin; w < end; ++w) {
        const std::int64_t p = w * Words::kTerms;
        const float* const from = pack.from + p * pack.ld + row;
        __builtin_prefetch(from + kLine * Words::kTerms * pack.ld);
        const Packet x = load_across<Words>(from, pack.ld, pack.k - p, rows);
        // The next word overwrites the excess; a masked store is slow on some processors.
        if (w + 1 < words)
          store(to + w * rows, x);
        else
          store(to + w * rows, x, rows);
      }
      row += rows;
    }
  }
}

}  // namespace

#if UNROLL_BF16_DOT
extern const GemmKernels kBf16GemmKernels = {
    kPacketWidth,
    kMaxRows,
    kGemmDepth,
    2,
    2,
    pack_a<Pairs<2>>,
    pack_b<Pairs<2>>,
    nullptr,
    multiply_block<Form::kPairs>,
};
#else
extern const GemmKernels kGemmKernels = {
    kPacketWidth,
    kMaxRows,
    kGemmDepth,
    1,
    1,
    pack_a<Floats>,
    pack_b<Floats>,
    multiply_block<Form::kInPlace>,
    multiply_block<Form::kFloats>,
};
extern const GemmKernels kBf16GemmKernels = {
    kPacketWidth,
    kMaxRows,
    kGemmDepth,
    2,
    2,
    pack_a<RoundedFloats>,
    pack_b<Pairs<2>>,
    nullptr,
    multiply_block<Form::kWidened>,
};
#endif

}  // namespace unroll::host::UNROLL_ISA
