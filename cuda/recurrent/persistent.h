/// One kernel for all timesteps of a layer: the recurrent weights stay in shared memory, and blocks
/// hand h_t, or the gradients of its gates, to each other through L2. The grid has to be resident
/// as a whole, which a cooperative launch sees to.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/device/device.h"
#include "cuda/kernels/grid_watch.h"
#include "cuda/recurrent/gates.h"
#include "cuda/recurrent/persistent_shape.h"
#include "unroll/backend.h"

namespace unroll::gpu {

/// The directions of a layer.
inline constexpr int kPersistentCells = 2;

/// By how many elements a cell's pointers move from one timestep to the next that it takes: worked
/// out by the host, because a kernel would do it anew in each timestep.
struct CellMove {
  std::int64_t elements;       // of tensors [T N Hp]
  std::int64_t above, output;  // of those whose rows are above_row, and y_row or dy_row, apart
  std::int64_t dropout;        // of the index of masks
  std::int32_t times;          // +1, or -1: from the last timestep to the first
};

/// Pointers are those of the first timestep that a cell takes; buffers of all timesteps lie one
/// after the other. h_n and c_n are written after the last one.
template <typename Cell>
struct PersistentArgs : GateShape {
  PersistentShape shape;
  std::int32_t steps;
  Cell cell[kPersistentCells];
  const void* weight[kPersistentCells];  // [slots that R feeds Hp, Hp]
  CellMove move[kPersistentCells];
  std::uint32_t* flags;  // as PersistentPass says, which no others use: zeros at first
  GridWatch watch;
};

/// Forward, the gates hold W x, but for the slot that W does not feed, and are activated if
/// training. Backward, dh holds the gradient of the last h, and then that of the initial one.
struct PersistentKernels {
  void (*forward)(PersistentArgs<ForwardCell>);
  void (*backward)(PersistentArgs<BackwardCell>);
};
/// Of a GRU those whose reset gate acts after the product.
PersistentKernels persistent_fp32_kernels(CellKind cell);
PersistentKernels persistent_tf32_kernels(CellKind cell);
PersistentKernels persistent_bf16_kernels(CellKind cell);

/// How a pass through a layer is computed: its directions at the same time where all their weights
/// fit, else one after the other.
struct PersistentPass {
  std::int32_t cells;
  PersistentShape shape;
  PersistentKernels kernels;

  /// For its blocks.
  std::int64_t flags() const { return std::int64_t(cells) * shape.groups * shape.flag_stride; }
};
struct WhichPass {
  bool backward;
  bool and_other;  // the other one is persistent, too: a refusal names what fits in both
};
/// Throws Unsupported for a GRU that resets before its product, and for weights that do not fit.
/// Loads the kernels: not in a capture.
PersistentPass persistent_pass(const Device& device, const RecurrentArgs& args, int layer,
                               const WhichPass& which);

void start_persistent(cudaStream_t stream, const PersistentKernels& kernels,
                      const PersistentArgs<ForwardCell>& args);
void start_persistent(cudaStream_t stream, const PersistentKernels& kernels,
                      const PersistentArgs<BackwardCell>& args);

}  // namespace unroll::gpu
