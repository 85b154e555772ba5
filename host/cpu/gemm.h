/// Matrix products for the CPU backend, row-major, on a ThreadPool. Operands and results are
/// float32. In bfloat16 both operands are rounded to the nearest bfloat16, ties to even, when they
/// are packed; sums stay float32.
///
/// Every element of C is computed in the same order for any number of threads, any number of rows
/// and any place of the element. For each block of kGemmDepth terms, from k = 0 on, one chain of
/// fused multiply-adds starts from 0 and goes up in k; the block sums are added to C (or to zero)
/// in order. So a row computed on its own has the same bits as in any minibatch. The AVX-512 and
/// AVX2 kernels agree bit for bit; the baseline also rounds each product.
///
/// In bfloat16 the terms of a chain go in pairs, the second term of a pair first. Products are
/// exact, so all kernels agree bit for bit, except for those of AMX, which add up the first and the
/// second terms of 16 pairs apart (gemm_amx_kernel.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "host/cpu/gemm_kernel.h"
#include "host/cpu/thread_pool.h"
#include "unroll/device.h"

namespace unroll::host {

/// Buffers in which gemm() and gemm_packed() rearrange blocks of their operands. Allocated once per
/// pool and used by one call at a time.
class GemmWorkspace {
 public:
  explicit GemmWorkspace(const ThreadPool& pool);

  /// The buffer of one thread, aligned to 64 bytes, kFloats long.
  float* of(int thread) const;
  int threads() const { return threads_; }

  static const std::int64_t kFloats;

 private:
  struct Free {
    void operator()(float* p) const;
  };
  int threads_;
  std::unique_ptr<float[], Free> data_;
};

/// C = op(A) op(B), or C += op(A) op(B).
///
/// Shapes    op(A) [m, k], op(B) [k, n], C [m, n]. A leading dimension is the distance between two
///           stored rows, at least the number of stored columns. Sizes may be zero; k = 0 gives
///           zeros (or leaves C unchanged).
/// Aliasing  C overlaps neither A nor B.
struct Gemm {
  std::int64_t m, n, k;
  const float* a;  // [m, k], or [k, m] if transpose_a
  std::int64_t lda;
  bool transpose_a;
  const float* b;  // [k, n], or [n, k] if transpose_b
  std::int64_t ldb;
  bool transpose_b;
  float* c;  // [m, n] out, or in and out if accumulate
  std::int64_t ldc;
  bool accumulate;
  Precision precision = Precision::kFp32;  // or kBf16
};

/// Errors: std::invalid_argument if a leading dimension is too small, a size is negative, or the
/// workspace was made for fewer threads than the pool has.
void gemm(ThreadPool& pool, const GemmWorkspace& workspace, const Gemm& args);

/// A packed operand is op(B) [k, n] in panels of gemm_panel_width() columns. Each panel [k, width]
/// is contiguous, the last one is padded with zeros. Panel p starts at float p * k * width. The
/// width is that of a vector register: 16 (AVX-512), 8 (AVX2) or 4. In bfloat16 a word holds two
/// terms of a column, so a panel is [k / 2, width]; k is padded with zeros (gemm_kernel.h).
std::int64_t gemm_panel_width();
/// The number of panels for n columns.
std::int64_t gemm_panel_count(std::int64_t n);
/// The size of the packed form of op(B) [k, n]. Align it to 64 bytes for speed.
std::size_t gemm_packed_bytes(std::int64_t k, std::int64_t n,
                              Precision precision = Precision::kFp32);

struct PackB {
  std::int64_t k, n;
  const float* b;  // [k, n], or [n, k] if transpose_b
  std::int64_t ldb;
  bool transpose_b;
  float* packed;  // out: gemm_packed_bytes(k, n, precision)
  Precision precision = Precision::kFp32;
};

/// Packs all panels, using all threads.
void pack_b(ThreadPool& pool, const PackB& args);
/// Packs panels [begin, end) on the calling thread, so that threads can divide the work inside
/// run().
void pack_b_panels(const PackB& args, std::int64_t begin, std::int64_t end);

/// C = A B, or C += A B, with B packed. Shapes and aliasing as in Gemm.
struct PackedGemm {
  std::int64_t m, n, k;
  const float* a;  // [m, k]
  std::int64_t lda;
  const float* packed_b;  // [k, n] packed by pack_b()
  float* c;               // [m, n] out, or in and out if accumulate
  std::int64_t ldc;
  bool accumulate;
  Precision precision = Precision::kFp32;  // that of packed_b
};

/// Errors: see gemm().
void gemm_packed(ThreadPool& pool, const GemmWorkspace& workspace, const PackedGemm& args);

/// Computes only the columns of `panels`, on the calling thread. For the recurrent step, in which
/// each thread of a run() computes its own columns of h R. `buffer`, GemmWorkspace::of() the
/// thread, is used in bfloat16. Meant for few rows (up to about 64); above that gemm_packed() is
/// faster. Nothing is checked.
void gemm_packed_panels(const PackedGemm& args, Range panels, float* buffer);

}  // namespace unroll::host
