/// How a variable gets its first value. The value depends only on (seed, variable name, element
/// index): not on the device, and not on which other variables there are.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "unroll/tensor.h"

namespace unroll {

/// Made by the functions below.
struct Initializer {
  enum class Kind : std::uint8_t { kConstant, kUniform, kXavier, kOrthogonal };
  Kind kind = Kind::kConstant;
  double low = 0, high = 0;  // kConstant: low is the value
  int blocks = 1;            // blocks of rows, of equal size, each initialised for itself
};

/// Every element is `value`.
Initializer constant(double value);
/// Errors    std::invalid_argument unless low <= high and both are finite.
Initializer uniform(double low, double high);
/// Uniform in +-sqrt(6 / (rows + columns)) of a block. A cell's weights have one block per gate.
/// Source    Glorot & Bengio 2010.
Initializer xavier(int blocks = 1);
/// Blocks with orthonormal rows, or columns where a block has more rows than columns.
/// Source    Saxe et al. 2013.
Initializer orthogonal(int blocks = 1);

/// Writes a variable's first values.
/// Shapes    `values` has shape's elements.
/// Errors    std::invalid_argument if kXavier or kOrthogonal meets a shape that is not a matrix, or
///           rows that do not divide into the blocks.
void initialize(const Initializer& how, const Shape& shape, std::uint64_t seed,
                const std::string& name, std::span<float> values);

}  // namespace unroll
