#include "unroll/initializer.h"

#include <cmath>
#include <future>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "host/graph/orthonormalize.h"
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

/// Blocks of a matrix with fewer elements are made in less time than a thread begins.
constexpr std::size_t kOwnThread = std::size_t{1} << 16;

void orthogonal_block(std::uint64_t key, std::uint64_t block, std::size_t rows, std::size_t columns,
                      std::span<float> values) {
  const std::size_t count = std::min(rows, columns), size = std::max(rows, columns);
  std::vector<double> vectors(count * size);
  for (std::size_t i = 0; i < vectors.size(); ++i)
    vectors[i] = normal(key, block * vectors.size() + i);
  orthonormalize({vectors.data(), count, size});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      values[r * columns + c] =
          float(rows <= columns ? vectors[r * size + c] : vectors[c * size + r]);
}

/// Each block in a thread of its own if it is large.
void orthogonal_blocks(std::uint64_t key, std::size_t blocks, const Shape& shape,
                       std::span<float> values) {
  const std::size_t rows = std::size_t(shape[0]) / blocks, columns = std::size_t(shape[1]);
  const std::size_t size = rows * columns;
  std::vector<std::future<void>> others;
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::launch how = size < kOwnThread ? std::launch::deferred : std::launch::async;
    others.push_back(std::async(how, [=] {
      orthogonal_block(key, block, rows, columns, values.subspan(block * size, size));
    }));
  }
  for (std::future<void>& other : others) other.get();
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
    case Initializer::Kind::kOrthogonal:
      require_blocks(how, shape, name);
      orthogonal_blocks(key, std::size_t(how.blocks), shape, values);
      return;
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = float(low + (high - low) * math::uniform53(math::philox(key, 0, i)));
}

}  // namespace unroll
