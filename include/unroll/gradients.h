/// Differentiation: gradients() adds the nodes that compute d cost / d x to the graph. Optimisers
/// call it; a program needs it only for gradients of its own use.
#pragma once

#include <utility>
#include <vector>

#include "unroll/graph.h"

namespace unroll {

/// A gradient as it is stored: a tensor of x's shape, or, if `ids` is set, rows of a table that is
/// zero elsewhere. Rows with equal ids add up.
struct Gradient {
  Tensor values;  // x's shape, or [M, E] if sparse; empty: x has no gradient
  Tensor ids;     // [M] int32 if sparse, else empty

  Gradient() = default;
  Gradient(Tensor dense) : values(dense) {}  // NOLINT(google-explicit-constructor)
  Gradient(Tensor rows, Tensor row_ids) : values(rows), ids(row_ids) {}

  explicit operator bool() const { return bool(values); }
  bool is_sparse() const { return bool(ids); }
};

/// d cost / d x for each x; empty where cost does not depend on x. Sparse only for a table that
/// nothing but embedding() uses.
/// Shapes    cost has one element.
/// Errors    std::invalid_argument if cost has another shape or an x belongs to another graph.
std::vector<Gradient> gradients(Tensor cost, const std::vector<Tensor>& xs);

/// The same as tensors of x's shape, with zeros where cost does not depend on x.
std::vector<Tensor> dense_gradients(Tensor cost, const std::vector<Tensor>& xs);

/// The gradient that has been found for x as a tensor of x's shape.
Tensor to_dense(const Gradient& gradient, Tensor x);

}  // namespace unroll
