/// The host's side of waits between blocks that time out (grid_watch.h).
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/device/runtime.h"
#include "cuda/kernels/grid_watch.h"

namespace unroll::gpu {

/// Belongs to one device and its stream. After one wait was given up, all later ones are given up
/// as soon as they take long, no optimiser changes anything (optimizer.cu), and check() throws: the
/// results are incomplete.
class GridWatcher {
 public:
  explicit GridWatcher(cudaStream_t stream);

  /// For the kernels on the stream.
  GridWatch watch() const;
  /// Call it after waiting for the stream. Throws DeviceError if a wait was given up, and says
  /// which.
  void check() const;
  /// Clears the fault. The caller has thrown away the results, and the flags, which are out of
  /// step.
  void forget();

 private:
  cudaStream_t stream_;
  DeviceMemory stop_;
  PinnedMemory fault_;
};

}  // namespace unroll::gpu
