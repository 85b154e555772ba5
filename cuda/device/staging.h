/// Uploads that do not wait for the device and do not keep the caller's memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "cuda/device/runtime.h"

namespace unroll::gpu {

/// Bytes go into pinned host memory, from there on a stream of their own into device memory, beside
/// whatever is being computed, and then, in the compute stream's order, to where they belong. Both
/// memories have two halves: one is filled while the other's uploads are still under way, and only
/// who comes round faster than the device does waits.
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
  Event used_[2];  // the compute stream has taken everything out of that half
  PinnedMemory pinned_;
  DeviceMemory device_;
  int half_ = 0;
  std::size_t filled_ = 0;  // of that half
};

}  // namespace unroll::gpu
