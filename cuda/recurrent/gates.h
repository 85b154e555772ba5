/// The fused gate kernels: one timestep without its products, for one or several cells at a time.
/// The formulas are those of include/unroll/cells.
///
/// Units are padded to a multiple of 8 (Hp). A row of gates has the slots of the cell's program
/// (unroll/cells/program.h), Hp values each. Values of padding units are finite, and their
/// gradients are zero.
///
/// E is the element type of the operands of products: float or bfloat16. All tensors are [N, Hp]
/// unless noted. `state` is c or, in a cell without c whose arithmetic reads h_{t-1}, h in float32;
/// if E is float32, that h is the tensor `h`, and `state` is null.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/kernels/element.h"
#include "unroll/cells/table.h"
#include "unroll/recurrent_spec.h"

namespace unroll::gpu {

/// Where dropped values are stored, or where their gradients come from.
struct DropoutSite {
  std::uint64_t key = 0;
  std::int64_t index = 0;      // of the first unit of the first row, without padding
  std::int64_t row_index = 0;  // from one row to the next
};

/// Where h_t goes.
struct OutputSite {
  const void* h_prev;      // E: what h is past a sequence's end
  void* h;                 // E out
  void* above;             // E out or null: the next layer's input, with dropout
  std::int64_t above_row;  // row stride of `above`
  float* y;                // out or null: zero past a sequence's end
  std::int64_t y_row;
  float* h_n;  // [N, R] out or null
  DropoutSite dropout;
  std::int32_t t;
};

/// With a projection, h is the vector that is projected, [N, Hp], and goes nowhere else. h_prev is
/// the same place, which holds zeros for sequences that have ended.
struct ForwardCell : OutputSite {
  float* gates;             // [N, slots, Hp] in: W x + R h, out: activated, if training
  const float* bias;        // [slots, Hp]
  const float* state_prev;  // or null
  float* state;             // out
  void* reset_h;            // E out, of a phase before the last: r h_{t-1}
  float* c_n;               // [N, H] out or null
};

/// Where the gradient of h_t comes from. With a projection, that of a BackwardCell is dh: the whole
/// gradient of the vector that is projected.
struct GradientSite {
  float* dh;  // in: the part of h_t's gradient from later steps; out, if carries(): the part of
              // h_{t-1}'s gradient that does not go through the products
  const float* dy;      // gradient of the output; null: zero
  std::int64_t dy_row;  // row stride of dy
  bool dy_padded;       // rows are padded and aligned; else they have R elements
  DropoutSite dropout;  // the dropout of y, if the rate is not zero
  std::int32_t t;
};

struct BackwardCell : GradientSite {
  const float* gates;       // [N, slots, Hp] activated
  const void* h_prev;       // E
  const float* state_prev;  // as in ForwardCell
  const float* state;
  void* dgates;   // [N, slots, Hp] E out: gradients of the pre-activations
  float* dc;      // in and out, if the cell has c
  float* dreset;  // in, in a phase before the last: gradient of r h_{t-1}
};

inline constexpr int kMostCells = 8;  // per launch

/// What all cells of a launch share.
struct GateShape {
  std::int32_t batch, units, padded, cells;
  bool training;
  float dropout;                // rate, 0: none
  float kept_scale;             // 1 / (1 - rate): the factor of kept values
  const std::int64_t* step;     // [1]
  const std::int32_t* lengths;  // [N] or null
};

template <typename Cell>
struct GateArgs : GateShape {
  Cell cell[kMostCells];
};

/// Whether a part of h_{t-1}'s gradient does not go through the products.
inline bool carries(const cells::CellProgram& program, bool has_lengths) {
  return program.has_direct || has_lengths;
}

/// Selects the kernel: a cell has one for each phase of its program, in each direction.
struct GateKernel {
  const RecurrentSpec& spec;
  Element element;  // E
  int phase;
};
/// Not for cells with layer norm, whose kernels are in layer_norm.h.
void gates_forward(cudaStream_t stream, const GateKernel& kernel,
                   const GateArgs<ForwardCell>& args);
void gates_backward(cudaStream_t stream, const GateKernel& kernel,
                    const GateArgs<BackwardCell>& args);

}  // namespace unroll::gpu
