/// Checks a table of bfloat16 kernels by itself: packing, tiles, remainders.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "host/cpu/gemm_kernel.h"

namespace unroll::host {

/// One block C (+)= op(A) op(B), and its float64 result.
struct KernelProblem {
  std::int64_t m, n, k;
  bool transpose_a, transpose_b, accumulate;
};

inline float to_bf16(float x) {
  int exponent = 0;
  const double fraction = std::frexp(double(x), &exponent);
  return float(std::ldexp(std::nearbyint(fraction * 256) / 256, exponent));
}

inline std::vector<float> random_floats(std::int64_t count, std::mt19937& rng) {
  std::uniform_real_distribution<float> draw(-1, 1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& x : values) x = draw(rng);
  return values;
}

/// What a kernel makes of operands that are packed into buffers of NaN.
inline std::vector<float> run_kernel(const GemmKernels& kernel, const KernelProblem& p,
                                     const std::vector<float>& a, const std::vector<float>& b,
                                     std::vector<float> c) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::int64_t width = kernel.panel_width, panels = (p.n + width - 1) / width;
  const std::int64_t words = kernel.words(p.k), ldc = p.n + 3;
  std::vector<float> packed_a(static_cast<std::size_t>(2 * p.m * words + 16), kNan);
  std::vector<float> packed_b(static_cast<std::size_t>(panels * width * words), kNan);
  kernel.pack_a({p.m, p.k, a.data(), p.transpose_a ? p.m : p.k, p.transpose_a, packed_a.data(), 0});
  kernel.pack_b({p.n, p.k, b.data(), p.transpose_b ? p.k : p.n, !p.transpose_b, packed_b.data(),
                 width * words});
  kernel.multiply_packed({p.m,
                          words,
                          panels,
                          p.n - (panels - 1) * width,
                          packed_a.data(),
                          0,
                          packed_b.data(),
                          width * words,
                          c.data(),
                          ldc,
                          p.accumulate,
                          {}});
  return c;
}

/// The bound is that of gemm_test.cpp: k + 2 roundings of the sum of the terms' sizes.
inline void check_kernel(const GemmKernels& kernel, const KernelProblem& p, std::mt19937& rng) {
  SCOPED_TRACE(::testing::Message()
               << "m=" << p.m << " n=" << p.n << " k=" << p.k << (p.transpose_a ? " T" : " N")
               << (p.transpose_b ? "T" : "N") << (p.accumulate ? " accumulate" : ""));
  const std::vector<float> a = random_floats(p.m * p.k, rng), b = random_floats(p.k * p.n, rng);
  const std::int64_t ldc = p.n + 3;
  const std::vector<float> before = random_floats(p.m * ldc, rng);
  const std::vector<float> after = run_kernel(kernel, p, a, b, before);
  for (std::int64_t i = 0; i < p.m; ++i)
    for (std::int64_t j = 0; j < ldc; ++j) {
      const auto at = static_cast<std::size_t>(i * ldc + j);
      if (j >= p.n) {
        ASSERT_EQ(after[at], before[at]) << "wrote outside C";
        continue;
      }
      double sum = p.accumulate ? double(before[at]) : 0, size = std::abs(sum);
      for (std::int64_t q = 0; q < p.k; ++q) {
        const std::int64_t in_a = p.transpose_a ? q * p.m + i : i * p.k + q;
        const std::int64_t in_b = p.transpose_b ? j * p.k + q : q * p.n + j;
        const double term = double(to_bf16(a[static_cast<std::size_t>(in_a)])) *
                            double(to_bf16(b[static_cast<std::size_t>(in_b)]));
        sum += term;
        size += std::abs(term);
      }
      const double tolerance = double(p.k + 2) * std::ldexp(size, -24);
      ASSERT_TRUE(std::abs(double(after[at]) - sum) <= tolerance)
          << "C(" << i << ", " << j << ") = " << after[at] << ", expected " << sum;
    }
}

inline void check_kernels(const GemmKernels& kernel) {
  std::mt19937 rng(11);
  int form = 0;
  for (const std::int64_t m : {1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65})
    for (const std::int64_t n : {1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 47})
      for (const std::int64_t k : {1, 2, 3, 15, 31, 32, 33, 64, 77}) {
        ++form;
        check_kernel(kernel, {m, n, k, form % 2 == 0, form / 2 % 2 == 0, form / 4 % 2 == 0}, rng);
        if (::testing::Test::HasFatalFailure()) return;
      }
  for (const bool transpose : {false, true})
    check_kernel(kernel, {70, 50, kernel.depth, transpose, !transpose, true}, rng);
}

}  // namespace unroll::host
