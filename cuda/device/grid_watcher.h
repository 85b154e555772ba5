/// The host's side of waits that blocks give up (grid_watch.h).
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/device/runtime.h"
#include "cuda/kernels/grid_watch.h"

namespace unroll::gpu {

/// Belongs to one device and its stream. Once a wait was given up, all later ones are as soon as
/// they take long, no optimiser changes anything (optimizer.cu), and check() throws: results are
/// not those of the whole kernel.
class GridWatcher {
 public:
  explicit GridWatcher(cudaStream_t stream);

  /// For kernels on the stream.
  GridWatch watch() const;
  /// After a wait for the stream. Throws DeviceError, with what was waited for, if it was given up.
  void check() const;
  /// For a caller that has thrown away the results, and the flags, which are out of step.
  void forget();

 private:
  cudaStream_t stream_;
  DeviceMemory stop_;
  PinnedMemory fault_;
};

}  // namespace unroll::gpu
