/// Loops over several tensors at once, each with its own strides.
#pragma once

#include <cstdint>

#include "cuda/kernels/pack.cuh"
#include "unroll/loop_nest.h"

namespace unroll::gpu {

/// A loop nest that a kernel takes by value.
template <int operands>
struct Strided : LoopNest<operands> {
  using LoopNest<operands>::extent, LoopNest<operands>::stride, LoopNest<operands>::rank;
  using LoopNest<operands>::inner_stride;

  /// Whether an operand can be read in packs of four along the innermost axis: its elements there
  /// are neighbours and every run is aligned, or they are one shared element. A grid of one axis
  /// may end with a partial pack.
  bool packs_of_four(int operand, const void* data) const {
    if (rank > 1 && extent[rank - 1] % 4 != 0) return false;
    if (inner_stride(operand) == 0) return true;
    if (inner_stride(operand) != 1 || reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
      return false;
    for (int axis = 0; axis + 1 < rank; ++axis)
      if (stride[operand][axis] % 4 != 0) return false;
    return true;
  }

  /// Sets each operand's offset for the index-th element of the grid.
  __device__ void locate(std::uint64_t index, std::int64_t (&at)[operands]) const {
    for (int k = 0; k < operands; ++k) at[k] = 0;
    for (int axis = rank; axis-- > 0;) {
      std::uint64_t position = index;
      if (axis > 0) {  // divisions are slow, and most grids have one axis
        index /= std::uint64_t(extent[axis]);
        position -= index * std::uint64_t(extent[axis]);
      }
      for (int k = 0; k < operands; ++k) at[k] += std::int64_t(position) * stride[k][axis];
    }
  }
};

}  // namespace unroll::gpu
