/// The functions that gemm.cpp needs from an instruction set: one table per set, defined by the
/// three compilations of gemm_kernel.cpp. Internal to the GEMM.
#pragma once

#include <cstdint>

namespace unroll::host {

/// What to prefetch while something else is computed: `lines` cache lines of each row with every 16
/// terms of the product, until `columns` floats are done.
struct GemmAhead {
  const float* from;
  std::int64_t ld, rows, columns;
  int lines;
};

/// C = A B or C += A B for one block of at most kGemmDepth terms.
struct GemmBlock {
  std::int64_t m, k;
  std::int64_t panels;        // of B and C, >= 1
  std::int64_t last_columns;  // valid columns of the last panel
  const float* a;             // rows lda apart, or packed by pack_a
  std::int64_t lda;
  const float* b;         // panels [k, width]
  std::int64_t b_stride;  // floats from panel to panel
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
  int panel_width;  // floats per vector
  int max_rows;     // rows of C in one tile
  /// Packs rows of A for multiply_packed(). Writes rows * k floats and up to panel_width more.
  void (*pack_a)(const GemmPack&);
  /// Packs columns of B, given as the rows of its transpose.
  void (*pack_b)(const GemmPack&);
  void (*multiply)(const GemmBlock&);
  void (*multiply_packed)(const GemmBlock&);
};

namespace avx512 {
extern const GemmKernels kGemmKernels;
}
namespace avx2 {
extern const GemmKernels kGemmKernels;
}
namespace baseline {
extern const GemmKernels kGemmKernels;
}

}  // namespace unroll::host
