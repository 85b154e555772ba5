/// Products of matrices.
#pragma once

#include "unroll/graph.h"

namespace unroll {

struct MatmulOptions {
  bool transpose_a = false;  // a is [K, M]
  bool transpose_b = false;  // b is [N, K]
};

/// The matrix product: matmul(x, weight, {.transpose_b = true}) is x W^T.
/// Shapes    a [..., K], b [K, N] -> [..., N]; with transpose_a, a [K, M], b [K, N] -> [M, N]
Tensor matmul(Tensor a, Tensor b, const MatmulOptions& options = {});

}  // namespace unroll
