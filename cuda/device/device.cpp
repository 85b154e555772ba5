#include "cuda/device/device.h"

#include <algorithm>

namespace unroll::gpu {
namespace {

/// Makes the device current for the calling thread before any member is created on it.
int select_device(int ordinal) {
  UNROLL_CUDA_CHECK(cudaSetDevice(ordinal));
  return ordinal;
}

}  // namespace

Device::Device(int ordinal, const CudaOptions& options)
    : ordinal_(select_device(ordinal)),
      note_(std::make_shared<const Note>(options.note)),
      precision_(options.precision),
      stream_(make_stream()),
      cublas_(stream_.get(), options.precision),
      partial_sums_(make_device_memory(kPartialSums * sizeof(float))),
      grid_watcher_(stream_.get()) {
  UNROLL_CUDA_CHECK(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, ordinal));
  UNROLL_CUDA_CHECK(
      cudaDeviceGetAttribute(&shared_memory_, cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal));
  counts_->now = counts_->peak = Cublas::kWorkspaceBytes + kPartialSums * sizeof(float);
  set_note(note_);  // last: a device that cannot be made leaves the note of another in place
}

std::shared_ptr<void> Device::allocate(std::size_t bytes) {
  make_current();
  // Empty tensors also get an address that is not null.
  DeviceMemory memory = make_device_memory(std::max<std::size_t>(bytes, 1));
  counts_->now += bytes;
  counts_->peak = std::max(counts_->peak, counts_->now);
  return {memory.release(), [bytes, counts = counts_](void* p) {
            DeviceMemoryDeleter()(p);
            counts->now -= bytes;
          }};
}

DeviceMemoryUse Device::memory() const {
  make_current();
  std::size_t free = 0, total = 0;
  UNROLL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return {counts_->now, counts_->peak, free};
}

}  // namespace unroll::gpu
