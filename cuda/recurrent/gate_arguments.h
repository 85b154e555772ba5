/// What the gates of a cell read and write at a timestep: the arguments of gate kernels, in terms
/// of a stack's buffers. The persistent kernels take the same and advance them by themselves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/recurrent/gates.h"
#include "cuda/recurrent/stack_buffers.h"
#include "cuda/recurrent/wavefront.h"

namespace unroll::gpu {

ForwardCell forward_cell(const StackBuffers& buffers, const ForwardPass& pass,
                         const CellStep& step);
BackwardCell backward_cell(const StackBuffers& buffers, const BackwardPass& pass,
                           const CellStep& step);

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

}  // namespace unroll::gpu
