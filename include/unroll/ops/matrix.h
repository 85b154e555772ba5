/// Products of matrices.
#pragma once

#include "unroll/graph.h"

namespace unroll {

struct MatmulOptions {
  bool transpose_a = false;  // each matrix of a is [K, M]
  bool transpose_b = false;  // each matrix of b is [N, K]
};

/// The matrix product: matmul(x, weight, {.transpose_b = true}) is x W^T. The dimensions before the
/// last two count products, and broadcast as in NumPy: one matrix b multiplies every matrix of a.
/// Shapes    a [..., M, K], b [..., K, N] -> [..., M, N]
Tensor matmul(Tensor a, Tensor b, const MatmulOptions& options = {});

}  // namespace unroll
