/// How a variable gets its first value. Values depend on (seed, variable name, element index)
/// alone: not on the device, nor on which other variables there are.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "unroll/tensor.h"

namespace unroll {

struct Initializer {
  enum class Kind : std::uint8_t { kConstant, kUniform, kXavier, kOrthogonal };
  Kind kind = Kind::kConstant;
  double low = 0, high = 0;  // kConstant: low is the value
  int blocks = 1;            // equal row blocks initialised each for itself: a cell's gates
};

Initializer constant(double value);
Initializer uniform(double low, double high);
/// Uniform in +-sqrt(6 / (rows + columns)) of a block. Source: Glorot & Bengio 2010.
Initializer xavier(int blocks = 1);
/// Blocks with orthonormal rows, or columns where a block has more rows. Source: Saxe et al. 2013.
Initializer orthogonal(int blocks = 1);

/// Writes shape's elements to `values`. Throws std::invalid_argument if kXavier or kOrthogonal
/// meets a shape that is not a matrix, or rows that do not divide into blocks.
void initialize(const Initializer& how, const Shape& shape, std::uint64_t seed,
                const std::string& name, std::span<float> values);

}  // namespace unroll
