/// Blocking as in Goto & van de Geijn 2008: a block of A stays in the L2 cache, packed panels of B
/// stream past it, and gemm_kernel.cpp computes the register tiles. Each thread has a rectangle of
/// C and packs its own operands, so threads never wait for each other.
#include "host/cpu/gemm.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "host/cpu/gemm_kernel.h"
#include "host/cpu/isa.h"

namespace unroll::host {
namespace {

// A block of 378 KiB, under half of a 1 MiB L2 cache. A multiple of the tile heights 14, 6 and 4;
// of others, which are 16, the largest multiple below.
constexpr std::int64_t kBlockRows = 252;
constexpr std::int64_t kBlockColumns = 1024;
constexpr std::int64_t kPackedB = kBlockColumns * kGemmDepth;  // words: B block of 1.5 MiB
constexpr std::int64_t kSlack = 16;  // pack_a may write one vector past its block
constexpr std::int64_t kAlignment = 64;

// Below this many multiply-adds (about 1 us), waking a second thread costs more than it saves.
constexpr std::int64_t kSerial = 100'000;
// Up to this many rows, a packed B is not used often enough to pay for packing A.
constexpr std::int64_t kUnpackedRows = 64;

const GemmKernels& kernels(Precision precision) {
  if (precision != Precision::kBf16) return UNROLL_FOR_ISA(kGemmKernels);
#if defined(__x86_64__)
  if (selected_bf16_isa() == Isa::kAmx) return amx::kBf16GemmKernels;
  if (selected_bf16_isa() == Isa::kAvx512Bf16) return avx512_bf16::kBf16GemmKernels;
#endif
  return UNROLL_FOR_ISA(kBf16GemmKernels);
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// The rectangle of C that one thread computes: rows, and panels of columns.
struct Rectangle {
  Range rows, panels;
};

struct Grid {
  int rows, columns;
};

/// The grid of threads over C that gives the busiest thread the least work.
Grid choose_grid(int threads, std::int64_t m, std::int64_t n, int panel_width, int max_rows) {
  Grid best{1, 1};
  std::int64_t best_cost = INT64_MAX;
  for (int rows = 1; rows <= threads; ++rows) {
    const int columns = threads / rows;
    const std::int64_t height = ceil_div(ceil_div(m, max_rows), rows) * max_rows;
    const std::int64_t width = ceil_div(ceil_div(n, panel_width), columns) * panel_width;
    // Packing an element costs about as much as 16 multiply-adds.
    const std::int64_t cost = height * width + 16 * (height + width);
    if (cost < best_cost) best = {rows, columns}, best_cost = cost;
  }
  return best;
}

/// Calls body(thread, rectangle) on as many threads as the size of C justifies.
template <typename Args, typename Body>
void for_rectangles(ThreadPool& pool, const Args& g, const Body& body) {
  const GemmKernels& kernel = kernels(g.precision);
  const std::int64_t panels = ceil_div(g.n, kernel.panel_width);
  if (pool.size() == 1 || g.m * g.n * g.k < kSerial)
    return body(0, Rectangle{{0, g.m}, {0, panels}});

  const Grid grid = choose_grid(pool.size(), g.m, g.n, kernel.panel_width, kernel.max_rows);
  pool.run([&](int thread) {
    if (thread >= grid.rows * grid.columns) return;
    const Rectangle r{split_range(g.m, kernel.max_rows, thread / grid.columns, grid.rows),
                      split_range(panels, 1, thread % grid.columns, grid.columns)};
    if (r.rows.begin < r.rows.end && r.panels.begin < r.panels.end) body(thread, r);
  });
}

/// A range cut into the fewest, nearly equal pieces of at most `limit`, in multiples of `grain`.
struct Pieces {
  Range range;
  std::int64_t grain;
  int count;

  Pieces(Range whole, std::int64_t limit, std::int64_t unit)
      : range(whole),
        grain(unit),
        count(static_cast<int>(ceil_div(whole.end - whole.begin, limit))) {}

  Range operator[](int i) const {
    const Range piece = split_range(range.end - range.begin, grain, i, count);
    return {range.begin + piece.begin, range.begin + piece.end};
  }
};

/// The blocks of k. Their boundaries depend only on k.
template <typename Body>
void for_depth(const GemmKernels& kernel, std::int64_t k, const Body& body) {
  for (std::int64_t p = 0; p < k; p += kernel.depth) body(p, std::min(kernel.depth, k - p));
}

void fill_zero(float* c, std::int64_t ldc, Range rows, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = rows.begin; i < rows.end; ++i)
    std::fill(c + i * ldc + begin, c + i * ldc + end, 0.0f);
}

/// The valid columns of panel `end` - 1.
std::int64_t last_columns(std::int64_t n, std::int64_t end, std::int64_t width) {
  return std::min(width, n - (end - 1) * width);
}

void require(bool ok, const char* what, std::int64_t got) {
  if (!ok)
    throw std::invalid_argument("gemm: " + std::string(what) + ", got " + std::to_string(got));
}

void check_sizes(std::int64_t m, std::int64_t n, std::int64_t k) {
  require(m >= 0, "expected m >= 0", m);
  require(n >= 0, "expected n >= 0", n);
  require(k >= 0, "expected k >= 0", k);
}

void check(const ThreadPool& pool, const GemmWorkspace& workspace) {
  require(workspace.threads() >= pool.size(), "expected a workspace for all threads",
          workspace.threads());
}

/// C (+)= op(A) B for one thread, with B packed. Pointers are to the first element.
struct Product {
  const GemmKernels& kernel;
  std::int64_t m, k, panels, last_columns;
  const float* a;
  std::int64_t lda;
  bool transpose_a;
  const float* b;
  std::int64_t b_stride;  // words from panel to panel
  float* c;
  std::int64_t ldc;
  bool accumulate;
};

void multiply(const Product& x, float* packed_a) {
  const GemmKernels& kernel = x.kernel;
  const std::int64_t block_rows = kBlockRows / kernel.max_rows * kernel.max_rows;
  const Pieces row_blocks({0, x.m}, block_rows, kernel.max_rows);
  const int lines = int(kernel.word_terms);
  // The part of A, as stored, in row block `block` and the terms of a block from p on.
  const auto part_of_a = [&](int block, std::int64_t p) -> GemmAhead {
    if (p >= x.k) ++block, p = 0;
    if (block >= row_blocks.count) return {};
    const Range rows = row_blocks[block];
    const std::int64_t m = rows.end - rows.begin, depth = std::min(kernel.depth, x.k - p);
    if (x.transpose_a) return {x.a + p * x.lda + rows.begin, x.lda, depth, m, lines};
    return {x.a + rows.begin * x.lda + p, x.lda, m, depth, lines};
  };

  for (int block = 0; block < row_blocks.count; ++block) {
    const Range rows = row_blocks[block];
    const std::int64_t m = rows.end - rows.begin;
    for_depth(kernel, x.k, [&](std::int64_t p, std::int64_t depth) {
      kernel.pack_a({m, depth, part_of_a(block, p).from, x.lda, x.transpose_a, packed_a, 0});
      GemmBlock g;
      g.m = m;
      g.k = kernel.words(depth);
      g.panels = x.panels;
      g.last_columns = x.last_columns;
      g.a = packed_a;
      g.lda = 0;
      g.b = x.b + p / kernel.word_terms * kernel.panel_width;
      g.b_stride = x.b_stride;
      g.c = x.c + rows.begin * x.ldc;
      g.ldc = x.ldc;
      g.accumulate = x.accumulate || p > 0;
      g.ahead = part_of_a(block, p + depth);
      kernel.multiply_packed(g);
    });
  }
}

void gemm_rectangle(const Gemm& g, const Rectangle& r, float* buffer) {
  const GemmKernels& kernel = kernels(g.precision);
  const std::int64_t width = kernel.panel_width, block_words = kernel.depth / kernel.word_terms;
  float* const packed_a = buffer + kPackedB;
  const Pieces column_blocks(r.panels, kBlockColumns / width, 1);
  for (int block = 0; block < column_blocks.count; ++block) {
    const Range panels = column_blocks[block];
    const std::int64_t j = panels.begin * width, columns = panels.end * width - j;
    // As many whole blocks of k as the buffer holds: C is then updated less often.
    const std::int64_t most = kPackedB / columns / block_words * kernel.depth;
    for (std::int64_t p = 0; p < g.k; p += most) {
      const std::int64_t k = std::min(most, g.k - p), stride = kernel.words(k) * width;
      kernel.pack_b({std::min(columns, g.n - j), k,
                     g.transpose_b ? g.b + j * g.ldb + p : g.b + p * g.ldb + j, g.ldb,
                     !g.transpose_b, buffer, stride});
      const std::int64_t i = r.rows.begin;
      multiply({kernel, r.rows.end - i, k, panels.end - panels.begin,
                last_columns(g.n, panels.end, width),
                g.transpose_a ? g.a + p * g.lda + i : g.a + i * g.lda + p, g.lda, g.transpose_a,
                buffer, stride, g.c + i * g.ldc + j, g.ldc, g.accumulate || p > 0},
               packed_a);
    }
  }
}

void gemm_packed_rectangle(const PackedGemm& g, const Rectangle& r, float* buffer) {
  const GemmKernels& kernel = kernels(g.precision);
  const std::int64_t width = kernel.panel_width, words = kernel.words(g.k);
  const std::int64_t i = r.rows.begin, j = r.panels.begin * width;
  multiply({kernel, r.rows.end - i, g.k, r.panels.end - r.panels.begin,
            last_columns(g.n, r.panels.end, width), g.a + i * g.lda, g.lda, false,
            g.packed_b + j * words, words * width, g.c + i * g.ldc + j, g.ldc, g.accumulate},
           buffer);
}

}  // namespace

const std::int64_t GemmWorkspace::kFloats = kPackedB + kBlockRows * kGemmDepth + kSlack;

GemmWorkspace::GemmWorkspace(const ThreadPool& pool)
    : threads_(pool.size()),
      data_(static_cast<float*>(
          ::operator new (static_cast<std::size_t>(pool.size() * kFloats) * sizeof(float),
                          std::align_val_t{kAlignment}))) {}

void GemmWorkspace::Free::operator()(float* p) const {
  ::operator delete (p, std::align_val_t{kAlignment});
}

float* GemmWorkspace::of(int thread) const {
  return data_.get() + thread * kFloats;
}

void gemm(ThreadPool& pool, const GemmWorkspace& workspace, const Gemm& g) {
  check(pool, workspace);
  check_sizes(g.m, g.n, g.k);
  require(g.lda >= (g.transpose_a ? g.m : g.k), "lda too small", g.lda);
  require(g.ldb >= (g.transpose_b ? g.k : g.n), "ldb too small", g.ldb);
  require(g.ldc >= g.n, "ldc too small", g.ldc);
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    if (!g.accumulate) fill_zero(g.c, g.ldc, {0, g.m}, 0, g.n);
    return;
  }
  for_rectangles(
      pool, g, [&](int thread, const Rectangle& r) { gemm_rectangle(g, r, workspace.of(thread)); });
}

std::int64_t gemm_panel_width() {
  return kernels(Precision::kFp32).panel_width;
}

std::int64_t gemm_panel_count(std::int64_t n) {
  return ceil_div(n, gemm_panel_width());
}

std::size_t gemm_packed_bytes(std::int64_t k, std::int64_t n, Precision precision) {
  return static_cast<std::size_t>(gemm_panel_count(n) * gemm_panel_width() *
                                  kernels(precision).words(k)) *
         sizeof(float);
}

void pack_b(ThreadPool& pool, const PackB& args) {
  check_sizes(0, args.n, args.k);
  require(args.ldb >= (args.transpose_b ? args.k : args.n), "ldb too small", args.ldb);
  pool.parallel_for(gemm_panel_count(args.n), 4,
                    [&](std::int64_t begin, std::int64_t end) { pack_b_panels(args, begin, end); });
}

void pack_b_panels(const PackB& args, std::int64_t begin, std::int64_t end) {
  const GemmKernels& kernel = kernels(args.precision);
  const std::int64_t width = kernel.panel_width, column = begin * width;
  const std::int64_t words = kernel.words(args.k);
  if (begin >= end) return;
  kernel.pack_b({std::min(end * width, args.n) - column, args.k,
                 args.b + (args.transpose_b ? column * args.ldb : column), args.ldb,
                 !args.transpose_b, args.packed + column * words, words * width});
}

void gemm_packed(ThreadPool& pool, const GemmWorkspace& workspace, const PackedGemm& g) {
  check(pool, workspace);
  check_sizes(g.m, g.n, g.k);
  require(g.lda >= g.k, "lda too small", g.lda);
  require(g.ldc >= g.n, "ldc too small", g.ldc);
  if (g.m == 0 || g.n == 0) return;
  if (g.m <= kUnpackedRows && g.precision == Precision::kFp32) {
    pool.parallel_for(gemm_panel_count(g.n), 2, [&](std::int64_t begin, std::int64_t end) {
      gemm_packed_panels(g, {begin, end}, nullptr);
    });
    return;
  }
  if (g.k == 0) {
    if (!g.accumulate) fill_zero(g.c, g.ldc, {0, g.m}, 0, g.n);
    return;
  }
  for_rectangles(pool, g, [&](int thread, const Rectangle& r) {
    gemm_packed_rectangle(g, r, workspace.of(thread));
  });
}

void gemm_packed_panels(const PackedGemm& g, Range panels, float* buffer) {
  const GemmKernels& kernel = kernels(g.precision);
  const std::int64_t width = kernel.panel_width, column = panels.begin * width;
  if (panels.begin >= panels.end || g.m == 0) return;
  if (g.k == 0) {
    if (!g.accumulate) fill_zero(g.c, g.ldc, {0, g.m}, column, std::min(panels.end * width, g.n));
    return;
  }
  if (!kernel.multiply) return gemm_packed_rectangle(g, {{0, g.m}, panels}, buffer);
  for_depth(kernel, g.k, [&](std::int64_t p, std::int64_t depth) {
    kernel.multiply({g.m,
                     depth,
                     panels.end - panels.begin,
                     last_columns(g.n, panels.end, width),
                     g.a + p,
                     g.lda,
                     g.packed_b + column * g.k + p * width,
                     g.k * width,
                     g.c + column,
                     g.ldc,
                     g.accumulate || p > 0,
                     {}});
  });
}

}  // namespace unroll::host
