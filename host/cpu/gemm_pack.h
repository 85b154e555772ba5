/// Packing of the operands of matrix products: tiles of rows of A, panels of columns of B. Like
/// packet.h it is compiled once per instruction set, inside the kernel files that include it.
#pragma once

#include "host/cpu/gemm_kernel.h"
#include "host/cpu/packet.h"

namespace unroll::host::UNROLL_ISA {

inline constexpr std::int64_t kWidth = kPacketWidth;
inline constexpr int kPackAhead = 4;  // how many rows ahead packing along rows prefetches

/// Divides m rows into tiles of nearly equal height. With full tiles and a low last one, the last
/// would have too few independent sums.
struct RowSplit {
  std::int64_t tiles, each, extra;  // the first `extra` tiles have one more row

  UNROLL_INLINE explicit RowSplit(std::int64_t m, std::int64_t most)
      : tiles((m + most - 1) / most), each(m / tiles), extra(m % tiles) {}
  UNROLL_INLINE std::int64_t rows(std::int64_t tile) const { return each + (tile < extra ? 1 : 0); }
};

/// Interleaves the first halves of two vectors, or their second halves; takes every other element
/// of both.
template <int... kLane>
struct Lanes {
  UNROLL_INLINE static Packet zip_low(Packet a, Packet b) {
    return __builtin_shufflevector(a.v, b.v, (kLane / 2 + (kLane % 2) * kWidth)...);
  }
  UNROLL_INLINE static Packet zip_high(Packet a, Packet b) {
    return __builtin_shufflevector(a.v, b.v, (kWidth / 2 + kLane / 2 + (kLane % 2) * kWidth)...);
  }
  UNROLL_INLINE static Packet even(Packet a, Packet b) {
    return __builtin_shufflevector(a.v, b.v, (2 * kLane)...);
  }
  UNROLL_INLINE static Packet odd(Packet a, Packet b) {
    return __builtin_shufflevector(a.v, b.v, (2 * kLane + 1)...);
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

/// A word of bfloat16(low) and bfloat16(high), in its lower and its upper half.
UNROLL_INLINE Packet pair(Packet low, Packet high) {
  const auto bits = [](Packet x) { return reinterpret_cast<UintVector>(round_to_bf16(x).v); };
  return Packet(reinterpret_cast<IntVector>(bits(low) >> 16 | bits(high)));
}

/// How the words of a packed operand hold the terms of a product: kTerms in a word, and zeros past
/// the last one up to a multiple of kUnit terms.
struct Floats {
  static constexpr std::int64_t kTerms = 1, kUnit = 1;
  UNROLL_INLINE static Packet convert(Packet x) { return x; }
};
/// Rounded to bfloat16, but held as floats.
struct RoundedFloats {
  static constexpr std::int64_t kTerms = 1, kUnit = 2;
  UNROLL_INLINE static Packet convert(Packet x) { return round_to_bf16(x); }
};
/// Pairs of bfloat16. The first term is in the lower half of the word.
template <int unit>
struct Pairs {
  static constexpr std::int64_t kTerms = 2, kUnit = unit;
};

template <typename Words>
constexpr std::int64_t words_of(std::int64_t terms) {
  return (terms + Words::kUnit - 1) / Words::kUnit * Words::kUnit / Words::kTerms;
}

/// `count` floats, at least 0; all if there are more than kWidth. The rest are zeros.
UNROLL_INLINE Packet load_some(const float* from, std::int64_t count) {
  return count >= kWidth ? load(from) : load(from, count > 0 ? count : 0);
}

/// The kWidth words of neighbouring terms of a row, of which `terms` are left.
template <typename Words>
UNROLL_INLINE Packet load_words(const float* from, std::int64_t terms) {
  const Packet first = load_some(from, terms);
  if constexpr (Words::kTerms == 1) {
    return Words::convert(first);
  } else {
    const Packet next = load_some(from + kWidth, terms - kWidth);
    return pair(AllLanes::even(first, next), AllLanes::odd(first, next));
  }
}

/// One word of each of `count` rows that are neighbours in memory, where `terms` terms of a row,
/// ld floats apart, are left.
template <typename Words>
UNROLL_INLINE Packet load_across(const float* from, std::int64_t ld, std::int64_t terms,
                                 std::int64_t count) {
  const Packet first = terms > 0 ? load_some(from, count) : Packet(0.0f);
  if constexpr (Words::kTerms == 1)
    return Words::convert(first);
  else
    return pair(first, terms > 1 ? load_some(from + ld, count) : Packet(0.0f));
}

/// Loads kWidth words of each of `rows` rows, and zeros for others up to kWidth.
template <typename Words>
UNROLL_INLINE void load_square(Packet (&square)[kWidth], const float* from, std::int64_t ld,
                               std::int64_t rows, std::int64_t terms) {
#pragma GCC unroll 16
  for (int r = 0; r < kWidth; ++r)
    square[r] = r < rows ? load_words<Words>(from + r * ld, terms) : Packet(0.0f);
}

/// Writes `rows` rows of k terms as words [words_of(k), rows], with `stride` words from one to the
/// next. It stores whole vectors in ascending order, so that each overwrites the excess of the one
/// before; up to kWidth - rows words are written past the end.
template <typename Words>
void pack_rows(const float* from, std::int64_t ld, std::int64_t rows, std::int64_t k, float* to,
               std::int64_t stride) {
  constexpr std::int64_t kTerms = kWidth * Words::kTerms;
  const std::int64_t words = words_of<Words>(k);
  for (std::int64_t w = 0; w < words; w += kWidth) {
    const std::int64_t p = w * Words::kTerms, depth = words - w < kWidth ? words - w : kWidth;
    Packet square[kWidth];
#pragma GCC unroll 16
    for (int r = 0; r < kWidth; ++r)
      if (r < rows) __builtin_prefetch(from + (r + rows) * ld + p, 0, 2);
    if (k - p >= kTerms)
      load_square<Words>(square, from + p, ld, rows, kTerms);
    else
      load_square<Words>(square, from + p, ld, rows, k - p);
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i)
      if (i < depth) store(to + (w + i) * stride, square[i]);
  }
}

/// Packs panels of kWidth columns of B.
template <typename Words>
void pack_b(const GemmPack& pack) {
  const std::int64_t whole = pack.rows / kWidth * kWidth, rest = pack.rows - whole;
  if (!pack.transposed) {
    for (std::int64_t row = 0; row < pack.rows; row += kWidth)
      pack_rows<Words>(pack.from + row * pack.ld, pack.ld, row < whole ? kWidth : rest, pack.k,
                       pack.to + row / kWidth * pack.panel_stride, kWidth);
    return;
  }
  const std::int64_t words = words_of<Words>(pack.k);
  for (std::int64_t w = 0; w < words; ++w) {
    const std::int64_t p = w * Words::kTerms, terms = pack.k - p;
    const float* const from = pack.from + p * pack.ld;
    float* to = pack.to + w * kWidth;
    for (std::int64_t row = 0; row < whole; row += kWidth, to += pack.panel_stride) {
      __builtin_prefetch(from + kPackAhead * pack.ld + row);
      store(to, load_across<Words>(from + row, pack.ld, terms, kWidth));
    }
    if (rest > 0) store(to, load_across<Words>(from + whole, pack.ld, terms, rest));
  }
}

}  // namespace unroll::host::UNROLL_ISA
