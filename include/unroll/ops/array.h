/// Operations that move elements: parts, joins, other shapes, elements by their ids. They take
/// every element type and keep its bits. Gradients flow through float32, and through float64 where
/// no ids are given. A negative axis counts from the last.
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
/// Cuts x along `axis` into so many equal parts, or into parts of these sizes, which add up to the
/// axis.
std::vector<Tensor> split(Tensor x, int parts, int axis);
std::vector<Tensor> split(Tensor x, const std::vector<std::int64_t>& sizes, int axis);
/// Joins along an axis that is new.
/// Shapes    N parts of one shape; for `axis` 0, [...] -> [N, ...]
Tensor stack(const std::vector<Tensor>& parts, int axis = 0);
/// What stack() joined: one tensor per element of the axis, which must not be open.
std::vector<Tensor> unstack(Tensor x, int axis = 0);

/// Axis k of the result is axis order[k] of x; without an order, all axes reversed.
Tensor transpose(Tensor x, std::vector<int> order = {});
/// The same elements with another shape. One dimension may be kOpen: it takes what is left.
Tensor reshape(Tensor x, const Shape& shape);
/// The same elements with a new axis of one element. A negative axis counts from the last of the
/// result.
Tensor expand_dims(Tensor x, int axis);
/// The same elements without an axis of one element.
Tensor squeeze(Tensor x, int axis);

struct Padding {
  std::int64_t before = 0, after = 0;  // elements
};
/// x with `value` around it.
/// Shapes    one padding per axis of x.
/// Errors    also if x's element type cannot hold the value.
Tensor pad(Tensor x, const std::vector<Padding>& padding, double value = 0);
/// x, repeats[k] times side by side along axis k.
Tensor tile(Tensor x, const std::vector<std::int64_t>& repeats);

// What the dimensions are, open ones too, once a run is planned. No gradient.
Tensor rank(Tensor x);   // [] int64
Tensor shape(Tensor x);  // [rank] int64

/// Rows of a table by their ids; an id outside [0, V) gives zeros. The table's gradient is sparse.
/// Shapes    table [V, E] float32, ids [...] int32 or int64 -> [..., E]
Tensor embedding(Tensor table, Tensor ids);
/// x's elements along `axis` by their ids. An id outside [0, V), where V is the size of the axis,
/// gives zeros. Elements with equal ids share their gradients' sum, taken in order of position.
/// Shapes    ids [M, ...] int32 or int64; for `axis` 0, x [V, ...] -> [M, ..., ...]: the axis gives
///           place to those of ids.
Tensor gather(Tensor x, Tensor ids, int axis = 0);
/// 1 at each id, else 0; an id outside [0, classes) gives zeros. No gradient.
/// Shapes    ids [...] int32 or int64 -> [..., classes] float32
Tensor one_hot(Tensor ids, std::int64_t classes);

/// x's elements along axis 0 in a random order, each order as probable as any other. It depends
/// only on (seed, step, size of the axis): tensors of one length and seed are shuffled alike.
Tensor shuffle(Tensor x, std::uint64_t seed);

struct CumulativeSumOptions {
  bool exclusive = false;  // element k is the sum of those before it, without itself
  bool reverse = false;    // from the last to the first
};
/// Running sums along an axis, added in float64 and then rounded.
/// Shapes    x float32 -> the same.
Tensor cumulative_sum(Tensor x, int axis, const CumulativeSumOptions& options = {});

}  // namespace unroll
