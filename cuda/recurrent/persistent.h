/// One kernel for all timesteps of a layer. The recurrent weights stay in shared memory, and blocks
/// exchange h_t, or the gradients of its gates, through L2. All blocks must be resident at once,
/// which a cooperative launch guarantees.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernels/grid_watch.h"
#include "cuda/recurrent/gates.h"
#include "cuda/recurrent/persistent_shape.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

/// A layer has at most two directions.
inline constexpr int kPersistentCells = 2;

/// How many elements a cell's pointers advance per timestep. The host computes it, because a kernel
/// would do so again in every timestep.
struct CellMove {
  std::int64_t elements;       // in tensors [T N Hp]
  std::int64_t above, output;  // in tensors with row strides above_row, and y_row or dy_row
  std::int64_t dropout;        // of the mask index
  std::int32_t times;          // +1 or, from the last timestep to the first, -1
};

/// Pointers are those of the first timestep that a cell computes; the buffers of all timesteps are
/// contiguous. h_n and c_n are written after the last timestep.
template <typename Cell>
struct PersistentArgs : GateShape {
  PersistentShape shape;
  std::int32_t steps;
  Cell cell[kPersistentCells];
  const void* weight[kPersistentCells];  // [h_slots Hp, Hp]
  CellMove move[kPersistentCells];
  std::uint32_t* flags;  // PersistentPass::flags(), for this launch only; zeros at first
  GridWatch watch;
};

/// Forward, the gates hold W x (except slots that W does not feed) and are activated if training.
/// Backward, dh holds the gradient of the last h, and in the end that of the initial one.
struct PersistentKernels {
  void (*forward)(PersistentArgs<ForwardCell>);
  void (*backward)(PersistentArgs<BackwardCell>);
};
/// The kernels of the spec's cell; nulls if it has none.
PersistentKernels persistent_fp32_kernels(const RecurrentSpec& spec);
PersistentKernels persistent_tf32_kernels(const RecurrentSpec& spec);
PersistentKernels persistent_bf16_kernels(const RecurrentSpec& spec);

/// How a layer's pass is computed: its directions at the same time if all their weights fit,
/// otherwise one after the other.
struct PersistentPass {
  std::int32_t cells;
  PersistentShape shape;
  PersistentKernels kernels;

  /// How many flags its blocks need.
  std::int64_t flags() const { return std::int64_t(cells) * shape.groups * shape.flag_stride; }
};
struct WhichPass {
  bool backward;
  bool and_other;  // the other pass is persistent, too: a refusal names the size that fits both
};
/// Whether the weights of all layers fit. `args.spec`, here and below: one that why_not() has
/// nothing against.
bool fits_persistent(const Device& device, const RecurrentArgs& args, bool backward);
/// Throws Unsupported for weights that do not fit. It loads the kernels, so do not call it during a
/// capture.
PersistentPass persistent_pass(const Device& device, const RecurrentArgs& args, int layer,
                               const WhichPass& which);

void start_persistent(cudaStream_t stream, const PersistentKernels& kernels,
                      const PersistentArgs<ForwardCell>& args);
void start_persistent(cudaStream_t stream, const PersistentKernels& kernels,
                      const PersistentArgs<BackwardCell>& args);

}  // namespace unroll::gpu
