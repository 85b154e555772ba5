/// How kernels on every device loop over several tensors at once, each with its own strides.
#pragma once

#include <cstdint>

#include "unroll/host_device.h"
#include "unroll/tensor.h"

namespace unroll {

/// A grid of indices in which each operand has its own strides, outermost axis first. Adjacent axes
/// that are contiguous for all operands are merged, and axes of one element are left out.
template <int operands>
struct LoopNest {
  std::int64_t extent[Shape::kMaxRank];
  std::int64_t stride[operands][Shape::kMaxRank];  // in elements
  int rank = 0;

  void push(std::int64_t size, const std::int64_t (&strides)[operands]) {
    if (size == 1) return;
    bool mergeable = rank > 0;
    for (int k = 0; mergeable && k < operands; ++k)
      mergeable = stride[k][rank - 1] == strides[k] * size;
    if (!mergeable) {
      extent[rank] = 1;
      ++rank;
    }
    extent[rank - 1] *= size;
    for (int k = 0; k < operands; ++k) stride[k][rank - 1] = strides[k];
  }

  std::int64_t inner() const { return rank == 0 ? 1 : extent[rank - 1]; }
  std::int64_t outer() const {  // rows of `inner` elements
    std::int64_t count = 1;
    for (int axis = 0; axis + 1 < rank; ++axis) count *= extent[axis];
    return count;
  }
  std::int64_t elements() const { return outer() * inner(); }
  UNROLL_HD std::int64_t inner_stride(int operand) const {
    return rank == 0 ? 0 : stride[operand][rank - 1];
  }
  /// The offset of an operand's first element in the row-th run of `inner` elements.
  std::int64_t row_offset(int operand, std::int64_t row) const {
    std::int64_t at = 0;
    for (int axis = rank - 2; axis >= 0; --axis) {
      at += row % extent[axis] * stride[operand][axis];
      row /= extent[axis];
    }
    return at;
  }
};

/// The stride of `from` along axis `axis` of `to`, to which it is broadcast: 0 where it repeats.
inline std::int64_t broadcast_stride(const Shape& from, const Shape& to, int axis) {
  const int own = axis - (to.rank() - from.rank());
  if (own < 0 || from[own] == 1) return 0;
  std::int64_t stride = 1;
  for (int k = own + 1; k < from.rank(); ++k) stride *= from[k];
  return stride;
}

/// A loop over two operands that are broadcast to the shape of the third.
inline LoopNest<3> broadcast_nest(const Shape& a, const Shape& b, const Shape& to) {
  LoopNest<3> nest;
  for (int axis = 0; axis < to.rank(); ++axis)
    nest.push(to[axis], {broadcast_stride(a, to, axis), broadcast_stride(b, to, axis),
                         broadcast_stride(to, to, axis)});
  return nest;
}

/// A loop over stacks of matrices: the dimensions before the last two, those of a and b broadcast
/// to those of c. Strides are in matrices.
inline LoopNest<3> stack_nest(const Shape& a, const Shape& b, const Shape& c) {
  const auto before = [](const Shape& shape) {
    return Shape(shape.dims().first(shape.dims().size() - 2));
  };
  return broadcast_nest(before(a), before(b), before(c));
}

/// A loop over three operands that are broadcast to the shape of the fourth.
inline LoopNest<4> broadcast_nest(const Shape& a, const Shape& b, const Shape& c, const Shape& to) {
  LoopNest<4> nest;
  for (int axis = 0; axis < to.rank(); ++axis)
    nest.push(to[axis], {broadcast_stride(a, to, axis), broadcast_stride(b, to, axis),
                         broadcast_stride(c, to, axis), broadcast_stride(to, to, axis)});
  return nest;
}

}  // namespace unroll
