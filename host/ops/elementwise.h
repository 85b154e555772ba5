/// Operations on elements that only other operations use.
#pragma once

#include "unroll/graph.h"

namespace unroll {

/// The shape to which both broadcast. An open dimension beside one above 1 can only be equal to it,
/// or 1.
Shape broadcast_shape(const Shape& a, const Shape& b);
/// A tensor of x's shape filled with zeros.
Tensor zeros_like(Tensor x);
/// x, repeated along broadcast dimensions to `like`'s shape.
Tensor broadcast_like(Tensor x, Tensor like);
/// A copy of x in memory of its own.
Tensor copy(Tensor x);
/// x itself if it surely has memory of its own, else a copy.
Tensor own_memory(Tensor x);

}  // namespace unroll
