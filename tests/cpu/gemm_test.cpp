/// The GEMM in float32 and in bfloat16, on every instruction set that this machine supports,
/// against sums in float64; and the promise that the bits of an element depend only on its row of A
/// and its column of B.
#include "host/cpu/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host/cpu/isa.h"
#include "host/cpu/thread_pool.h"

namespace unroll::host {
namespace {

constexpr float kGuard = 12345.0f;

/// A stored matrix with a leading dimension larger than needed, and guard values in the gap, before
/// the first row and after the last.
class Matrix {
 public:
  Matrix(std::int64_t rows, std::int64_t cols, std::int64_t gap = 3)
      : rows_(rows),
        cols_(cols),
        ld_(cols + gap),
        values_(static_cast<std::size_t>(2 * kMargin + rows * ld_), kGuard) {}

  static Matrix random(std::int64_t rows, std::int64_t cols, std::mt19937& rng,
                       std::int64_t gap = 3) {
    std::uniform_real_distribution<float> draw(-1, 1);
    Matrix m(rows, cols, gap);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < cols; ++j) m(i, j) = draw(rng);
    return m;
  }

  float* data() { return values_.data() + kMargin; }
  const float* data() const { return values_.data() + kMargin; }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t ld() const { return ld_; }
  float& operator()(std::int64_t i, std::int64_t j) { return data()[i * ld_ + j]; }
  float operator()(std::int64_t i, std::int64_t j) const { return data()[i * ld_ + j]; }

  bool guards_intact() const {
    const std::int64_t size = static_cast<std::int64_t>(values_.size());
    for (std::int64_t at = 0; at < size; ++at) {
      const std::int64_t place = at - kMargin;
      const bool inside = place >= 0 && place < rows_ * ld_ && place % ld_ < cols_;
      if (!inside && values_[static_cast<std::size_t>(at)] != kGuard) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t kMargin = 32;
  std::int64_t rows_, cols_, ld_;
  std::vector<float> values_;
};

struct Sizes {
  std::int64_t m, n, k;
};

/// The nearest number of 8 significant bits, ties to even: bfloat16, for what is not tiny.
float rounded(float x) {
  int exponent = 0;
  const double fraction = std::frexp(double(x), &exponent);
  return float(std::ldexp(std::nearbyint(fraction * 256) / 256, exponent));
}

/// A problem and its float64 result.
struct Problem {
  Precision precision;
  Sizes s;
  bool transpose_a, transpose_b, accumulate;
  Matrix a, b, c;

  Problem(Precision in, Sizes sizes, bool ta, bool tb, bool acc, std::mt19937& rng)
      : precision(in),
        s(sizes),
        transpose_a(ta),
        transpose_b(tb),
        accumulate(acc),
        a(ta ? Matrix::random(s.k, s.m, rng) : Matrix::random(s.m, s.k, rng)),
        b(tb ? Matrix::random(s.n, s.k, rng) : Matrix::random(s.k, s.n, rng)),
        c(Matrix::random(s.m, s.n, rng)) {}

  Gemm args(Matrix& out) const {
    return {s.m,    s.n,         s.k,        a.data(), a.ld(),     transpose_a, b.data(),
            b.ld(), transpose_b, out.data(), out.ld(), accumulate, precision};
  }

  float factor(float x) const { return precision == Precision::kBf16 ? rounded(x) : x; }
  float left(std::int64_t i, std::int64_t p) const {
    return factor(transpose_a ? a(p, i) : a(i, p));
  }
  float right(std::int64_t p, std::int64_t j) const {
    return factor(transpose_b ? b(j, p) : b(p, j));
  }

  /// In the worst case (baseline) each term is rounded once as a product and once as a sum; the
  /// block sums add at most k + 1 roundings and C one: |error| <= (k + 2) eps sum |a b|, eps =
  /// 2^-24, plus as much for C itself. That holds for any order of the terms (Higham 2002, section
  /// 3.1), so in bfloat16, whose products are exact, it bounds every kernel, and twice as much
  /// bounds the difference of any two. NaN fails.
  ::testing::AssertionResult correct(const Matrix& out) const {
    for (std::int64_t i = 0; i < s.m; ++i)
      for (std::int64_t j = 0; j < s.n; ++j) {
        double sum = accumulate ? c(i, j) : 0, size = std::abs(sum);
        for (std::int64_t p = 0; p < s.k; ++p) {
          const double term = double(left(i, p)) * double(right(p, j));
          sum += term;
          size += std::abs(term);
        }
        const double tolerance = static_cast<double>(s.k + 2) * std::ldexp(size, -24);
        if (!(std::abs(out(i, j) - sum) <= tolerance))
          return ::testing::AssertionFailure() << "C(" << i << ", " << j << ") = " << out(i, j)
                                               << ", expected " << sum << " +- " << tolerance;
      }
    if (!out.guards_intact()) return ::testing::AssertionFailure() << "wrote outside C";
    return ::testing::AssertionSuccess();
  }
};

std::ostream& operator<<(std::ostream& out, const Problem& p) {
  return out << "m=" << p.s.m << " n=" << p.s.n << " k=" << p.s.k << (p.transpose_a ? " T" : " N")
             << (p.transpose_b ? "T" : "N") << (p.accumulate ? " accumulate" : "");
}

/// A packed operand between guard values, which detect writes past its end.
class Packed {
 public:
  Packed(std::int64_t k, std::int64_t n, Precision precision)
      : size_(gemm_packed_bytes(k, n, precision) / sizeof(float)),
        values_(size_ + 2 * kMargin, kGuard) {}
  float* data() { return values_.data() + kMargin; }
  const float* data() const { return values_.data() + kMargin; }
  std::size_t size() const { return size_; }
  bool guards_intact() const {
    return std::all_of(values_.data(), values_.data() + kMargin, is_guard) &&
           std::all_of(values_.data() + kMargin + size_, values_.data() + values_.size(), is_guard);
  }

 private:
  static constexpr std::size_t kMargin = 32;
  static bool is_guard(float x) { return x == kGuard; }
  std::size_t size_;
  std::vector<float> values_;
};

bool same_bits(const Matrix& x, const Matrix& y) {
  for (std::int64_t i = 0; i < x.rows(); ++i)
    if (std::memcmp(&x.data()[i * x.ld()], &y.data()[i * y.ld()],
                    static_cast<std::size_t>(x.cols()) * sizeof(float)) != 0)
      return false;
  return true;
}

struct Kernels {
  Isa isa;
  Precision precision;
};

class GemmTest : public ::testing::TestWithParam<Kernels> {
 protected:
  void SetUp() override {
    if (!isa_supported(isa())) GTEST_SKIP() << isa_name(isa()) << ": not supported by this CPU";
    select_isa(isa());
  }

  Isa isa() const { return GetParam().isa; }
  Precision precision() const { return GetParam().precision; }
  Problem problem(Sizes sizes, bool transpose_a, bool transpose_b, bool accumulate) {
    return {precision(), sizes, transpose_a, transpose_b, accumulate, rng_};
  }

  /// Runs a problem in every available way and checks each.
  void check(const Problem& p) {
    SCOPED_TRACE(::testing::Message() << p);
    Matrix plain = p.c;
    gemm(pool_, workspace_, p.args(plain));
    EXPECT_TRUE(p.correct(plain));
    if (p.transpose_a) return;

    Packed packed(p.s.k, p.s.n, p.precision);
    pack_b(pool_, {p.s.k, p.s.n, p.b.data(), p.b.ld(), p.transpose_b, packed.data(), p.precision});
    EXPECT_TRUE(packed.guards_intact());
    const auto args = [&](Matrix& out) -> PackedGemm {
      return {p.s.m,         p.s.n,      p.s.k,    p.a.data(),   p.a.ld(),
              packed.data(), out.data(), out.ld(), p.accumulate, p.precision};
    };
    Matrix whole = p.c;
    gemm_packed(pool_, workspace_, args(whole));
    EXPECT_TRUE(same_bits(whole, plain)) << "gemm_packed differs from gemm";
    EXPECT_TRUE(whole.guards_intact());

    Matrix parts = p.c;
    const std::int64_t panels = gemm_panel_count(p.s.n), cut = (panels + 1) / 3;
    gemm_packed_panels(args(parts), {0, cut}, workspace_.of(0));
    gemm_packed_panels(args(parts), {cut, panels}, workspace_.of(1));
    EXPECT_TRUE(same_bits(parts, plain)) << "gemm_packed_panels differs from gemm";
    EXPECT_TRUE(parts.guards_intact());
  }

  ThreadPool pool_{2};
  GemmWorkspace workspace_{pool_};
  std::mt19937 rng_{20240607};
};

TEST_P(GemmTest, SmallSizesInAllForms) {
  std::uniform_int_distribution<std::int64_t> size(1, 70);
  for (int i = 0; i < 240; ++i)
    check(
        problem({size(rng_), size(rng_), size(rng_)}, i % 2 == 1, i / 2 % 2 == 1, i / 4 % 2 == 1));
}

// Every height of a tile, and every width in vectors with and without a partial last one.
TEST_P(GemmTest, EveryTile) {
  for (std::int64_t m = 1; m <= 30; ++m)
    for (const std::int64_t n : {1, 4, 8, 15, 16, 17, 31, 32, 33, 48, 64, 79, 128, 144, 241})
      check(problem({m, n, 5 + m}, (m + n) % 2 == 0, n % 3 == 0, m % 3 == 0));
}

TEST_P(GemmTest, SizesAroundTheBlocks) {
  for (const std::int64_t m : {13, 14, 15, 31, 257})
    for (const std::int64_t n : {15, 32, 33, 255, 256})
      for (const std::int64_t k : {std::int64_t{1}, std::int64_t{256}, kGemmDepth - 1, kGemmDepth,
                                   kGemmDepth + 1, 2 * kGemmDepth + 3})
        check(problem({m, n, k}, (m + k) % 2 == 0, (n + k) % 2 == 0, m % 2 == 0));
}

// More rows and columns than one block of A or of B holds.
TEST_P(GemmTest, SeveralBlocks) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      check(problem({600, 30, 400}, ta, tb, false));
      check(problem({20, 2300, 390}, ta, tb, true));
    }
}

// Rows of A a multiple of 4 KiB apart, for which the kernel for few rows uses lower tiles.
TEST_P(GemmTest, RowsThatShareACacheSet) {
  for (const std::int64_t m : {10, 11, 14, 45}) {
    Problem p = problem({m, 40, 1000}, false, false, m % 2 == 0);
    p.a = Matrix::random(m, 1000, rng_, 24);
    ASSERT_EQ(p.a.ld() % 1024, 0);
    check(p);
  }
}

// A B of more than 12 MiB, which the kernel for few rows prefetches.
TEST_P(GemmTest, LargeB) {
  for (const std::int64_t m : {8, 20}) check(problem({m, 6200, 520}, false, true, false));
}

TEST_P(GemmTest, ThreadsDoNotChangeTheBits) {
  for (const Sizes s : {Sizes{65, 70, 800}, Sizes{300, 37, 90}, Sizes{3, 1000, 50}}) {
    const Problem p = problem(s, false, true, true);
    Matrix expected = p.c;
    ThreadPool one(1);
    gemm(one, GemmWorkspace(one), p.args(expected));
    for (const int threads : {2, 3, 7}) {
      SCOPED_TRACE(::testing::Message() << p << " threads=" << threads);
      ThreadPool pool(threads);
      Matrix c = p.c;
      gemm(pool, GemmWorkspace(pool), p.args(c));
      EXPECT_TRUE(same_bits(c, expected));
    }
  }
}

TEST_P(GemmTest, RowAloneHasTheBitsOfTheRowInABatch) {
  const Problem p = problem({20, 200, 500}, false, false, true);
  Matrix all = p.c;
  gemm(pool_, workspace_, p.args(all));
  for (std::int64_t i = 0; i < p.s.m; ++i) {
    Matrix copy = p.c, row(1, p.s.n), row_of_all(1, p.s.n);
    Gemm g = p.args(copy);
    g.m = 1;
    g.a += i * g.lda;
    g.c += i * g.ldc;
    gemm(pool_, workspace_, g);
    std::copy_n(&copy(i, 0), p.s.n, row.data());
    std::copy_n(&all(i, 0), p.s.n, row_of_all.data());
    EXPECT_TRUE(same_bits(row, row_of_all)) << "row " << i;
  }
}

/// The sum of terms [begin, end) of an element, in the order that gemm.h and gemm_kernel.cpp
/// define.
float chain(const Problem& p, Isa isa, std::int64_t i, std::int64_t j, Range terms) {
  float sum = 0;
  if (p.precision == Precision::kFp32) {
    for (std::int64_t q = terms.begin; q < terms.end; ++q) {
      volatile float product = p.left(i, q) * p.right(q, j);  // keeps the compiler from fusing
      sum = isa == Isa::kBaseline ? sum + product : std::fma(p.left(i, q), p.right(q, j), sum);
    }
    return sum;
  }
  // In bfloat16 the second term of a pair comes first. Where the last pair has only one, the other
  // is 0 times 0.
  const auto add = [&](float to, std::int64_t q) {
    return q < terms.end ? std::fma(p.left(i, q), p.right(q, j), to) : to;
  };
  if (isa != Isa::kAmx) {
    for (std::int64_t q = terms.begin; q < terms.end; q += 2) sum = add(add(sum, q + 1), q);
    return sum;
  }
  for (std::int64_t tile = terms.begin; tile < terms.end; tile += 32) {
    float first = 0, second = 0;
    for (std::int64_t q = tile; q < tile + 32; q += 2)
      first = add(first, q), second = add(second, q + 1);
    sum += first + second;
  }
  return sum;
}

TEST_P(GemmTest, BitsAreThoseOfTheDefinition) {
  const Problem p = problem({23, 41, 2 * kGemmDepth + 77}, true, false, true);
  Matrix c = p.c, expected = p.c;
  gemm(pool_, workspace_, p.args(c));
  const std::int64_t depth = isa() == Isa::kAmx ? 2 * kGemmDepth : kGemmDepth;
  for (std::int64_t i = 0; i < p.s.m; ++i)
    for (std::int64_t j = 0; j < p.s.n; ++j)
      for (std::int64_t start = 0; start < p.s.k; start += depth)
        expected(i, j) += chain(p, isa(), i, j, {start, std::min(p.s.k, start + depth)});
  EXPECT_TRUE(same_bits(c, expected));
}

/// Term p of column j of a packed operand.
float packed_term(const Packed& packed, const Kernels& kernels, Sizes s, std::int64_t j,
                  std::int64_t p) {
  const std::int64_t width = gemm_panel_width();
  if (kernels.precision == Precision::kFp32)
    return packed.data()[(j / width * s.k + p) * width + j % width];
  const std::int64_t unit = kernels.isa == Isa::kAmx ? 32 : 2;
  const std::int64_t words = (s.k + unit - 1) / unit * unit / 2;
  std::uint32_t word = 0;
  std::memcpy(&word, packed.data() + (j / width * words + p / 2) * width + j % width, sizeof(word));
  word = p % 2 == 0 ? word << 16 : word >> 16 << 16;
  float term = 0;
  std::memcpy(&term, &word, sizeof(term));
  return term;
}

TEST_P(GemmTest, PackedFormIsPanelsOfColumns) {
  const std::int64_t width = gemm_panel_width(), k = 37, n = 2 * width + 3;
  const Matrix b = Matrix::random(k, n, rng_);
  Packed packed(k, n, precision()), transposed(k, n, precision()), shared(k, n, precision());
  Matrix bt(n, k);
  for (std::int64_t p = 0; p < k; ++p)
    for (std::int64_t j = 0; j < n; ++j) bt(j, p) = b(p, j);
  pack_b(pool_, {k, n, b.data(), b.ld(), false, packed.data(), precision()});
  pack_b(pool_, {k, n, bt.data(), bt.ld(), true, transposed.data(), precision()});
  for (std::int64_t panel = 3; panel-- > 0;)  // in any order
    pack_b_panels({k, n, b.data(), b.ld(), false, shared.data(), precision()}, panel, panel + 1);

  const std::int64_t words = precision() == Precision::kFp32 ? k : isa() == Isa::kAmx ? 32 : 19;
  ASSERT_EQ(packed.size(), static_cast<std::size_t>(3 * words * width));
  const std::int64_t terms = precision() == Precision::kFp32 ? k : 2 * words;
  for (std::int64_t j = 0; j < 3 * width; ++j)
    for (std::int64_t p = 0; p < terms; ++p) {
      float expected = j < n && p < k ? b(p, j) : 0.0F;
      if (precision() == Precision::kBf16) expected = rounded(expected);
      for (const Packed* form : {&packed, &transposed, &shared})
        EXPECT_EQ(packed_term(*form, GetParam(), {0, n, k}, j, p), expected);
    }
}

TEST_P(GemmTest, NanAndInfinityStayInTheirRowAndColumn) {
  Problem p = problem({30, 50, 40}, false, false, false);
  p.a(7, 11) = std::numeric_limits<float>::quiet_NaN();
  p.b(3, 33) = std::numeric_limits<float>::infinity();
  Matrix c = p.c;
  gemm(pool_, workspace_, p.args(c));
  for (std::int64_t i = 0; i < p.s.m; ++i)
    for (std::int64_t j = 0; j < p.s.n; ++j) {
      if (i == 7)
        EXPECT_TRUE(std::isnan(c(i, j)));
      else if (j == 33)
        EXPECT_TRUE(std::isinf(c(i, j)) && std::signbit(c(i, j)) == std::signbit(p.a(i, 3)));
      else
        EXPECT_TRUE(std::isfinite(c(i, j)));
    }
}

// A product with 1 shows how an operand is rounded.
TEST_P(GemmTest, RoundsBothOperandsToNearestEven) {
  if (precision() == Precision::kFp32) GTEST_SKIP() << "float32 is not rounded";
  const auto of_bits = [](std::uint32_t bits) {
    float x = 0;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
  };
  const std::uint32_t cases[][2] = {
      {0x3f808000, 0x3f800000},  // half way: down to even
      {0x3f818000, 0x3f820000},  // up to even
      {0x3f808001, 0x3f810000},  // more than half
      {0xbf817fff, 0xbf810000},  // less than half
      {0x7f7fffff, 0x7f800000},  // past the largest
      {0xff800000, 0xff800000},  // an infinity
      {0x00800000, 0x00800000},  // the smallest that is not subnormal
      {0x80000000, 0x00000000},  // -0: the sum begins with 0
  };
  for (const auto& [from, to] : cases)
    for (const bool on_the_left : {false, true}) {
      Problem p = problem({1, 1, 1}, false, false, false);
      p.a(0, 0) = on_the_left ? of_bits(from) : 1;
      p.b(0, 0) = on_the_left ? 1 : of_bits(from);
      Matrix c = p.c;
      gemm(pool_, workspace_, p.args(c));
      EXPECT_EQ(c(0, 0), of_bits(to)) << std::hex << from;
    }
  for (const std::uint32_t bits : {0x7f800001U, 0x7fffffffU, 0xffffffffU, 0xff80ffffU}) {
    Problem p = problem({1, 1, 1}, false, false, false);
    p.a(0, 0) = of_bits(bits);
    p.b(0, 0) = 1;
    Matrix c = p.c;
    gemm(pool_, workspace_, p.args(c));
    EXPECT_TRUE(std::isnan(c(0, 0))) << std::hex << bits;
  }
}

// NaN in C is overwritten, not added to, unless accumulating.
TEST_P(GemmTest, OldCIsNotReadUnlessAccumulating) {
  Problem p = problem({15, 33, 5}, false, false, false);
  Matrix c = p.c;
  for (std::int64_t i = 0; i < p.s.m; ++i)
    std::fill_n(&c(i, 0), p.s.n, std::numeric_limits<float>::quiet_NaN());
  gemm(pool_, workspace_, p.args(c));
  EXPECT_TRUE(p.correct(c));
}

TEST_P(GemmTest, EmptySizes) {
  for (const Sizes s : {Sizes{0, 5, 3}, Sizes{5, 0, 3}, Sizes{5, 3, 0}})
    for (const bool accumulate : {false, true}) check(problem(s, false, false, accumulate));
}

TEST_P(GemmTest, RejectsBrokenContracts) {
  const Problem p = problem({4, 5, 6}, false, false, false);
  Matrix c = p.c;
  Gemm g = p.args(c);
  g.lda = 5;
  EXPECT_THROW(gemm(pool_, workspace_, g), std::invalid_argument);
  g = p.args(c);
  g.ldc = 4;
  EXPECT_THROW(gemm(pool_, workspace_, g), std::invalid_argument);
  g = p.args(c);
  g.m = -1;
  EXPECT_THROW(gemm(pool_, workspace_, g), std::invalid_argument);
  ThreadPool larger(3);
  EXPECT_THROW(gemm(larger, workspace_, p.args(c)), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(EachIsa, GemmTest,
                         ::testing::Values(Kernels{Isa::kAvx512, Precision::kFp32},
                                           Kernels{Isa::kAvx2, Precision::kFp32},
                                           Kernels{Isa::kBaseline, Precision::kFp32},
                                           Kernels{Isa::kAmx, Precision::kBf16},
                                           Kernels{Isa::kAvx512Bf16, Precision::kBf16},
                                           Kernels{Isa::kAvx512, Precision::kBf16},
                                           Kernels{Isa::kAvx2, Precision::kBf16},
                                           Kernels{Isa::kBaseline, Precision::kBf16}),
                         [](const auto& info) {
                           return std::string(isa_name(info.param.isa)) + "_in_" +
                                  to_string(info.param.precision);
                         });

/// What two instruction sets compute, skipped by name unless this CPU has both.
class GemmIsaPair : public ::testing::TestWithParam<std::pair<Isa, Isa>> {
 protected:
  void SetUp() override {
    for (const Isa isa : {GetParam().first, GetParam().second})
      if (!isa_supported(isa)) GTEST_SKIP() << isa_name(isa) << ": not supported by this CPU";
  }
  static Matrix result(const Problem& p, Isa isa) {
    select_isa(isa);
    ThreadPool pool(2);
    Matrix c = p.c;
    gemm(pool, GemmWorkspace(pool), p.args(c));
    return c;
  }
  std::mt19937 rng_{5};
};

std::string names_of(const ::testing::TestParamInfo<std::pair<Isa, Isa>>& info) {
  return std::string(isa_name(info.param.first)) + "_and_" + isa_name(info.param.second);
}

class GemmFusedIsa : public GemmIsaPair {};

TEST_P(GemmFusedIsa, AgreesBitForBit) {
  const Problem p(Precision::kFp32, {65, 79, 2 * kGemmDepth + 9}, false, true, true, rng_);
  EXPECT_TRUE(same_bits(result(p, GetParam().first), result(p, GetParam().second)));
}
INSTANTIATE_TEST_SUITE_P(On, GemmFusedIsa, ::testing::Values(std::pair{Isa::kAvx512, Isa::kAvx2}),
                         names_of);

class GemmBf16Isa : public GemmIsaPair {};

// All but AMX add in the same order, and products are exact.
TEST_P(GemmBf16Isa, AgreesBitForBit) {
  for (const bool transpose : {false, true}) {
    const Problem p(Precision::kBf16, {65, 79, 2 * kGemmDepth + 9}, transpose, !transpose, true,
                    rng_);
    const Matrix first = result(p, GetParam().first), second = result(p, GetParam().second);
    EXPECT_TRUE(p.correct(first));
    EXPECT_TRUE(p.correct(second));
    if (GetParam().first != Isa::kAmx) {
      EXPECT_TRUE(same_bits(first, second));
    }
  }
}
INSTANTIATE_TEST_SUITE_P(On, GemmBf16Isa,
                         ::testing::Values(std::pair{Isa::kAvx2, Isa::kBaseline},
                                           std::pair{Isa::kAvx512, Isa::kBaseline},
                                           std::pair{Isa::kAvx512Bf16, Isa::kBaseline},
                                           std::pair{Isa::kAmx, Isa::kBaseline}),
                         names_of);

}  // namespace
}  // namespace unroll::host
