/// Orthonormal vectors, for weights that begin as an orthogonal matrix.
#pragma once

#include <cstddef>

namespace unroll {

/// `count` vectors of length `size`, one after the other.
struct Vectors {
  double* values;
  std::size_t count, size;

  double* at(std::size_t k) const { return values + k * size; }
};

/// Gram-Schmidt, in place: each vector becomes what it adds to the span of those before it, with
/// length 1. The bits are the same on every processor of one architecture. Needs count <= size.
/// Gaussian vectors are conditioned well enough that float64 leaves errors far below float32's.
void orthonormalize(const Vectors& vectors);

}  // namespace unroll
