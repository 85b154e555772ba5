/// Inverses and determinants of square matrices. On a CPU they need LAPACK, which is loaded when a
/// run with such a node is planned; without it that is a std::runtime_error.
#pragma once

#include "unroll/graph.h"

namespace unroll {

/// The inverse of each matrix. A matrix is singular if its LU factorisation in float32 has a pivot
/// that is zero. A run on a CPU then throws std::runtime_error with its number, before any variable
/// changes. A GPU does not wait for this: there all elements of the inverse are NaN, which a
/// guarded training step refuses.
/// Shapes    a [..., N, N] -> the same.
Tensor inverse(Tensor a);
/// The determinant of each matrix; 0 if it is singular, but its gradient needs the inverse.
/// Shapes    a [..., N, N] -> [...]
Tensor determinant(Tensor a);

}  // namespace unroll
