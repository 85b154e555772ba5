/// Differentiation of several tensors at once, with gradients of their own: what gradients() and
/// the gradients of loops and branches are made of.
#pragma once

#include <vector>

#include "unroll/gradients.h"
#include "unroll/graph.h"

namespace unroll {

/// Whether gradients flow through a tensor of its element type.
inline bool has_gradient(const Tensor& tensor) {
  return tensor.dtype() == DType::kFloat32 || tensor.dtype() == DType::kFloat64;
}

/// The sum over k of dys[k] (d ys[k] / d x), for each x; empty where no y depends on x. All are
/// tensors of one graph; dys[k] has ys[k]'s shape.
std::vector<Gradient> vector_jacobian(const std::vector<Tensor>& ys, const std::vector<Tensor>& dys,
                                      const std::vector<Tensor>& xs);

}  // namespace unroll
