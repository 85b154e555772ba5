/// Test data. Every number drawn is representable in float32, so that the engine and the float64
/// reference start from the same values.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "tests/support/reference.h"
#include "unroll/tensor.h"

namespace unroll::test {

using reference::Complex;
using reference::Dims;
using Reals = reference::Array<double>;

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  double uniform(double low, double high) {
    return double(float(std::uniform_real_distribution<double>(low, high)(engine_)));
  }
  /// In [low, high).
  std::int32_t integer(std::int32_t low, std::int32_t high) {
    return std::uniform_int_distribution<std::int32_t>(low, high - 1)(engine_);
  }
  Reals array(const Dims& dims, double low, double high) {
    Reals out(dims);
    for (double& x : out.values) x = uniform(low, high);
    return out;
  }
  std::vector<std::int32_t> integers(std::size_t count, std::int32_t low, std::int32_t high) {
    std::vector<std::int32_t> out(count);
    for (std::int32_t& x : out) x = integer(low, high);
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

inline std::vector<float> floats(const std::vector<double>& values) {
  std::vector<float> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [](double x) { return float(x); });
  return out;
}
inline std::vector<float> floats(const Reals& array) {
  return floats(array.values);
}

inline std::vector<double> doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

inline Shape shape_of(const Dims& dims) {
  return Shape(std::span<const std::int64_t>(dims));
}
inline Dims dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

}  // namespace unroll::test
