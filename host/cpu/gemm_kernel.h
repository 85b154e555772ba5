/// The functions that gemm.cpp needs from an instruction set, in float32 and in bfloat16: a table
/// for each, defined by the compilations of gemm_kernel.cpp and gemm_amx_kernel.cpp. Internal to
/// the GEMM.
///
/// Packed operands consist of words of 4 bytes, which are handed on as floats. A word holds a float
/// or two bfloat16 numbers, that is one or two terms of a product.
#pragma once

#include <cstdint>

namespace unroll::host {

/// The terms that one chain sums before the sum is added to C (in AMX tiles twice as many). Part of
/// the definition of the result.
inline constexpr std::int64_t kGemmDepth = 384;

/// What to prefetch while something else is computed: `lines` cache lines of each row with every 16
/// words of the product, until `columns` floats are done.
struct GemmAhead {
  const float* from;
  std::int64_t ld, rows, columns;
  int lines;
};

/// C = A B or C += A B for one block of at most GemmKernels::depth terms.
struct GemmBlock {
  std::int64_t m, k;          // k: the words of a column of B
  std::int64_t panels;        // of B and C, >= 1
  std::int64_t last_columns;  // valid columns of the last panel
  const float* a;             // rows lda apart, or packed by pack_a
  std::int64_t lda;
  const float* b;         // panels [k, width] of words
  std::int64_t b_stride;  // words from panel to panel
  float* c;
  std::int64_t ldc;
  bool accumulate;
  GemmAhead ahead;  // what will be packed next; multiply_packed only
};

/// A [rows, k], or its transpose, that is packed: element (i, p) is at a[i * ld + p], or at a[p *
/// ld + i] if `transposed`.
struct GemmPack {
  std::int64_t rows, k;
  const float* from;
  std::int64_t ld;
  bool transposed;
  float* to;
  std::int64_t panel_stride;  // for B only
};

struct GemmKernels {
  int panel_width;          // floats per vector
  int max_rows;             // rows of C in one tile
  std::int64_t depth;       // terms of a block: kGemmDepth, or twice that in AMX tiles
  std::int64_t word_terms;  // terms in a word of packed B
  std::int64_t unit;        // packed operands end with zeros up to a multiple of this many terms
  /// Packs rows of A for multiply_packed(), in at most a float for each term up to `unit`. Writes
  /// up to panel_width floats more.
  void (*pack_a)(const GemmPack&);
  /// Packs columns of B, given as the rows of its transpose.
  void (*pack_b)(const GemmPack&);
  void (*multiply)(const GemmBlock&);  // with A in place; null in bfloat16
  void (*multiply_packed)(const GemmBlock&);

  /// The words of a packed column of k terms.
  std::int64_t words(std::int64_t k) const { return (k + unit - 1) / unit * unit / word_terms; }
};

namespace amx {
extern const GemmKernels kBf16GemmKernels;
}
namespace avx512_bf16 {
extern const GemmKernels kBf16GemmKernels;
}
namespace avx512 {
extern const GemmKernels kGemmKernels, kBf16GemmKernels;
}
namespace avx2 {
extern const GemmKernels kGemmKernels, kBf16GemmKernels;
}
namespace baseline {
extern const GemmKernels kGemmKernels, kBf16GemmKernels;
}

}  // namespace unroll::host
