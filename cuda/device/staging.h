/// Uploads that neither wait for the device nor keep the caller's memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "cuda/device/runtime.h"

namespace unroll::gpu {

/// Uploads go in three hops: into pinned host memory, to device memory on a copy stream while other
/// work runs, then to their target on the compute stream. Both memories have two halves: one is
/// filled while the uploads of the other are still under way. The host waits only if it fills them
/// faster than the device empties them.
class Staging {
 public:
  explicit Staging(cudaStream_t compute);
  void upload(void* device, const void* host, std::size_t bytes);

  static constexpr std::size_t kHalfBytes = std::size_t{4} << 20;

 private:
  /// A place for that many bytes, at most kHalfBytes.
  std::size_t reserve(std::size_t bytes);

  cudaStream_t compute_;
  Stream copies_;
  Event copied_;
  Event used_[2];  // the compute stream has read all of that half
  PinnedMemory pinned_;
  DeviceMemory device_;
  int half_ = 0;
  std::size_t filled_ = 0;  // bytes of the current half
};

}  // namespace unroll::gpu
