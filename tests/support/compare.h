/// Comparison of float32 results with float64 expectations, and equality of bits. NaN never passes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace unroll::test {

/// The distance from 1 to the next float32. The error of one rounding of a value of size 1 is half
/// of it.
inline constexpr double kUlp = double(std::numeric_limits<float>::epsilon());

/// Passes if |actual[k] - expected[k]| <= allowed(k) for every k.
template <typename T, typename Allowed>
::testing::AssertionResult close_where(const std::vector<T>& actual,
                                       const std::vector<double>& expected, Allowed allowed) {
  if (actual.size() != expected.size())
    return ::testing::AssertionFailure()
           << actual.size() << " values, expected " << expected.size();
  double worst = 0;
  std::size_t where = actual.size();
  for (std::size_t k = 0; k < actual.size(); ++k) {
    const double value = double(actual[k]);
    if (value == expected[k]) continue;  // infinities too
    const double excess = std::abs(value - expected[k]) / allowed(k);
    if (excess <= std::max(1.0, worst)) continue;  // false for NaN
    worst = excess;
    where = k;
    if (std::isnan(excess)) break;
  }
  if (where == actual.size()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "element " << where << " of " << actual.size() << ": " << actual[where] << ", expected "
         << expected[where] << ", error " << worst << " times the " << allowed(where) << " allowed";
}

/// Within `ulps` units in the last place of max(scale, |expected|). `ulps` counts roundings, and
/// `scale` is the size of the rounded values: state at the call where both come from.
template <typename T>
::testing::AssertionResult close(const std::vector<T>& actual, const std::vector<double>& expected,
                                 double ulps, double scale = 1) {
  return close_where(actual, expected, [&](std::size_t k) {
    return ulps * kUlp * std::max(scale, std::abs(expected[k]));
  });
}

/// Within `ulps` of magnitude[k], the sum of the absolute values that enter element k.
template <typename T>
::testing::AssertionResult close_to_sums(const std::vector<T>& actual,
                                         const std::vector<double>& expected, double ulps,
                                         const std::vector<double>& magnitude) {
  return close_where(actual, expected,
                     [&](std::size_t k) { return ulps * kUlp * std::max(1e-30, magnitude[k]); });
}

/// Equal bit for bit.
template <typename T>
::testing::AssertionResult identical(const std::vector<T>& actual, const std::vector<T>& expected) {
  if (actual.size() != expected.size())
    return ::testing::AssertionFailure()
           << actual.size() << " values, expected " << expected.size();
  for (std::size_t k = 0; k < actual.size(); ++k)
    if (!std::ranges::equal(std::as_bytes(std::span(&actual[k], 1)),
                            std::as_bytes(std::span(&expected[k], 1))))
      return ::testing::AssertionFailure() << "element " << k << " of " << actual.size() << ": "
                                           << actual[k] << ", expected the bits of " << expected[k];
  return ::testing::AssertionSuccess();
}

}  // namespace unroll::test
