/// float32 matrix products for the CPU backend, row-major, on a ThreadPool.
///
/// Every element of C is computed in one order, whatever the number of threads, the number of rows
/// or the element's place: for each block of kGemmDepth terms from k = 0 on, one chain of fused
/// multiply-adds in ascending k starting from 0, the block sums being added up in order onto C (or
/// onto nothing). So a row computed alone has the bits it has in any minibatch. The AVX-512 and
/// AVX2 kernels agree bit for bit; the baseline rounds each product as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "host/cpu/thread_pool.h"

namespace unroll::host {

/// Terms summed in one chain before the sum goes to C. Part of the definition of the result.
inline constexpr std::int64_t kGemmDepth = 384;

/// Buffers in which gemm() and gemm_packed() rearrange blocks of their operands: allocated once for
/// a pool and used by one call at a time.
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
/// Shapes    op(A) [m, k], op(B) [k, n], C [m, n]; a leading dimension is the distance of two rows
///           as stored, at least the number of columns as stored. Zero sizes are allowed; k = 0
///           gives zeros (or leaves C).
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
};

/// Errors: std::invalid_argument if a leading dimension is too small, a size is negative, or the
/// workspace was made for fewer threads than the pool has.
void gemm(ThreadPool& pool, const GemmWorkspace& workspace, const Gemm& args);

/// A packed operand is op(B) [k, n] as panels of gemm_panel_width() columns, each panel [k, width]
/// contiguous, the last padded with zeros. Panel p starts at float p * k * width.
/// The width is that of a vector register: 16 (AVX-512), 8 (AVX2) or 4.
std::int64_t gemm_panel_width();
/// Panels that hold n columns.
std::int64_t gemm_panel_count(std::int64_t n);
/// Size of the packed form of op(B) [k, n]. Align it to 64 bytes for speed.
std::size_t gemm_packed_bytes(std::int64_t k, std::int64_t n);

struct PackB {
  std::int64_t k, n;
  const float* b;  // [k, n], or [n, k] if transpose_b
  std::int64_t ldb;
  bool transpose_b;
  float* packed;  // out: gemm_packed_bytes(k, n)
};

/// Packs all panels, sharing the work.
void pack_b(ThreadPool& pool, const PackB& args);
/// Packs panels [begin, end) on the calling thread: threads may share the work inside run().
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
};

/// Errors as gemm().
void gemm_packed(ThreadPool& pool, const GemmWorkspace& workspace, const PackedGemm& args);

/// The columns of panels [begin, end) only, on the calling thread and without a workspace: the
/// recurrent step, each thread of a run() computing its own columns of h R. Meant for few rows (up
/// to about 64); above that gemm_packed() is faster. Nothing is checked.
void gemm_packed_panels(const PackedGemm& args, std::int64_t begin, std::int64_t end);

}  // namespace unroll::host
