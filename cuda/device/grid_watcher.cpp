#include "cuda/device/grid_watcher.h"

#include <string>

namespace unroll::gpu {

GridWatcher::GridWatcher(cudaStream_t stream)
    : stream_(stream),
      stop_(make_device_memory(sizeof(std::uint32_t))),
      fault_(make_pinned_memory(sizeof(GridFault))) {
  forget();
}

GridWatch GridWatcher::watch() const {
  // Pinned memory has the same address on host and device.
  return {static_cast<std::uint32_t*>(stop_.get()), static_cast<GridFault*>(fault_.get())};
}

void GridWatcher::check() const {
  const GridFault& fault = *static_cast<const GridFault*>(fault_.get());
  if (fault.is_set == 0) return;
  fail("block " + std::to_string(fault.block) + " of a kernel waited in vain for block " +
           std::to_string(fault.flag) + " of its group, which had published " +
           std::to_string(fault.seen) + ", not " + std::to_string(fault.expected) +
           "; use the algorithm stepwise, in which no block waits for another",
       "await", __FILE__, __LINE__);
}

void GridWatcher::forget() {
  *static_cast<GridFault*>(fault_.get()) = {};
  UNROLL_CUDA_CHECK(cudaMemsetAsync(stop_.get(), 0, sizeof(std::uint32_t), stream_));
}

}  // namespace unroll::gpu
