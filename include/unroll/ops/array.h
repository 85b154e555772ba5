/// Operations that move elements: parts, joins, other shapes, rows by their ids.
#pragma once

#include <cstdint>
#include <vector>

#include "unroll/graph.h"

namespace unroll {

/// As the end of a slice: up to the last element.
inline constexpr std::int64_t kEnd = INT64_MAX;
/// Elements [begin, end) of one axis. Negative numbers count from the last.
Tensor slice(Tensor x, int axis, std::int64_t begin, std::int64_t end = kEnd);
/// Shapes    the parts' shapes are equal but for `axis`, along which they are joined.
Tensor concat(const std::vector<Tensor>& parts, int axis);
/// Axis k of the result is axis order[k] of x; without an order, all axes reversed.
Tensor transpose(Tensor x, std::vector<int> order = {});
/// The same elements with another shape. One dimension may be kOpen: it takes what is left.
Tensor reshape(Tensor x, const Shape& shape);

/// Rows of a table by their ids; an id outside [0, V) gives zeros. The table's gradient is sparse.
/// Shapes    table [V, E], ids [...] -> [..., E]
Tensor embedding(Tensor table, Tensor ids);
/// 1 at each id, else 0; an id outside [0, classes) gives zeros. No gradient.
/// Shapes    ids [...] -> [..., classes]
Tensor one_hot(Tensor ids, std::int64_t classes);

}  // namespace unroll
