#include "unroll/initializer.h"

#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "unroll/math/philox.h"

namespace unroll {
namespace {

void require_blocks(const Initializer& how, const Shape& shape, const std::string& name) {
  if (shape.rank() != 2 || how.blocks < 1 || shape[0] % how.blocks != 0)
    throw std::invalid_argument("initialising '" + name + "': got shape " + to_string(shape) +
                                ", expected a matrix whose rows divide into " +
                                std::to_string(how.blocks) + " blocks");
}

/// Box & Muller 1958; element `index` uses a counter of its own.
double normal(std::uint64_t key, std::uint64_t index) {
  const auto block = math::philox(key, 1, index);
  const double u = (double(block.word[0]) + 1) * 0x1p-32, v = double(block.word[1]) * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

/// Independent partial sums, so that the compiler may use vectors.
double dot(const double* u, const double* v, std::size_t size) {
  double sums[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8)
    for (std::size_t k = 0; k < 8; ++k) sums[k] += u[i + k] * v[i + k];
  double total = 0;
  for (; i < size; ++i) total += u[i] * v[i];
  for (const double sum : sums) total += sum;
  return total;
}

/// Modified Gram-Schmidt on `count` vectors of length `size`, count <= size. Gaussian vectors are
/// well enough conditioned that float64 leaves errors far below float32's.
void orthonormalize(std::vector<double>& vectors, std::size_t count, std::size_t size) {
  for (std::size_t k = 0; k < count; ++k) {
    double* v = &vectors[k * size];
    const double scale = 1 / std::sqrt(dot(v, v, size));
    for (std::size_t i = 0; i < size; ++i) v[i] *= scale;
    for (std::size_t j = k + 1; j < count; ++j) {
      double* u = &vectors[j * size];
      const double along = dot(u, v, size);
      for (std::size_t i = 0; i < size; ++i) u[i] -= along * v[i];
    }
  }
}

void orthogonal_block(std::uint64_t key, std::uint64_t block, std::size_t rows, std::size_t columns,
                      std::span<float> values) {
  const std::size_t count = std::min(rows, columns), size = std::max(rows, columns);
  std::vector<double> vectors(count * size);
  for (std::size_t i = 0; i < vectors.size(); ++i)
    vectors[i] = normal(key, block * vectors.size() + i);
  orthonormalize(vectors, count, size);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      values[r * columns + c] =
          float(rows <= columns ? vectors[r * size + c] : vectors[c * size + r]);
}

}  // namespace

Initializer constant(double value) {
  return {Initializer::Kind::kConstant, value, value, 1};
}

Initializer uniform(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high) || low > high)
    throw std::invalid_argument("uniform: got [" + std::to_string(low) + ", " +
                                std::to_string(high) + "], expected finite low <= high");
  return {Initializer::Kind::kUniform, low, high, 1};
}

Initializer xavier(int blocks) {
  return {Initializer::Kind::kXavier, 0, 0, blocks};
}

Initializer orthogonal(int blocks) {
  return {Initializer::Kind::kOrthogonal, 0, 0, blocks};
}

void initialize(const Initializer& how, const Shape& shape, std::uint64_t seed,
                const std::string& name, std::span<float> values) {
  const std::uint64_t key = math::philox_key(seed, name.c_str());
  double low = how.low, high = how.high;
  switch (how.kind) {
    case Initializer::Kind::kConstant:
      std::fill(values.begin(), values.end(), float(how.low));
      return;
    case Initializer::Kind::kXavier:
      require_blocks(how, shape, name);
      high = std::sqrt(6.0 / (double(shape[0]) / how.blocks + double(shape[1])));
      low = -high;
      break;
    case Initializer::Kind::kUniform:
      break;
    case Initializer::Kind::kOrthogonal: {
      require_blocks(how, shape, name);
      const auto rows = std::size_t(shape[0] / how.blocks), columns = std::size_t(shape[1]);
      for (std::size_t block = 0; block < std::size_t(how.blocks); ++block)
        orthogonal_block(key, block, rows, columns,
                         values.subspan(block * rows * columns, rows * columns));
      return;
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = float(low + (high - low) * math::uniform53(math::philox(key, 0, i)));
}

}  // namespace unroll
