/// What the gates of a cell read and write at a timestep: the arguments of gate kernels, in terms
/// of a stack's buffers. The persistent kernels take the same and advance them by themselves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/recurrent/gates.h"
#include "cuda/recurrent/layer_norm.h"
#include "cuda/recurrent/projection.h"
#include "cuda/recurrent/stack_buffers.h"
#include "cuda/recurrent/wavefront.h"

namespace unroll::gpu {

ForwardCell forward_cell(const StackBuffers& buffers, const ForwardPass& pass,
                         const CellStep& step);
BackwardCell backward_cell(const StackBuffers& buffers, const BackwardPass& pass,
                           const CellStep& step);
/// With a projection: what follows its product, and what precedes its product backward.
ProjectedCell projected_cell(const StackBuffers& buffers, const ForwardPass& pass,
                             const CellStep& step);
ProjectedGradient projected_gradient(const StackBuffers& buffers, const BackwardPass& pass,
                                     const CellStep& step);
/// With layer norm: what comes on top.
NormSite norm_site(const StackBuffers& buffers, const std::byte* memory,
                   const RecurrentWeights& weights, const CellStep& step);

/// For cells with the properties of `like`. `args`: RecurrentForward or RecurrentBackward.
template <typename Args>
GateShape gate_shape(const StackBuffers& buffers, const Args& args, const CellBuffers& like,
                     std::size_t cells) {
  const float dropout = buffers.spec().dropout;
  return {std::int32_t(buffers.batch()),
          std::int32_t(like.units),
          std::int32_t(like.padded),
          std::int32_t(cells),
          buffers.args().training,
          dropout,
          1 / (1 - dropout),
          dropout > 0 ? args.step.template as<std::int64_t>() : nullptr,
          args.lengths ? args.lengths.template as<std::int32_t>() : nullptr};
}

/// Replaces units and padded, which are H and Hp, by R and Rp.
inline void set_projected_shape(GateShape& shape, const CellBuffers& like) {
  shape.units = std::int32_t(like.width);
  shape.padded = std::int32_t(like.padded_width);
}

}  // namespace unroll::gpu
