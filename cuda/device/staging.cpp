#include "cuda/device/staging.h"

#include <algorithm>
#include <cstring>

namespace unroll::gpu {

Staging::Staging(cudaStream_t compute)
    : compute_(compute),
      copies_(make_stream()),
      copied_(make_event()),
      used_{make_event(), make_event()},
      pinned_(make_pinned_memory(2 * kHalfBytes)),
      device_(make_device_memory(2 * kHalfBytes)) {}

std::size_t Staging::reserve(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  const std::size_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (filled_ + room > kHalfBytes) {
    UNROLL_CUDA_CHECK(cudaEventRecord(used_[half_].get(), compute_));
    half_ = 1 - half_;
    filled_ = 0;
    UNROLL_CUDA_CHECK(cudaEventSynchronize(used_[half_].get()));
  }
  const std::size_t at = std::size_t(half_) * kHalfBytes + filled_;
  filled_ += room;
  return at;
}

void Staging::upload(void* device, const void* host, std::size_t bytes) {
  auto* to = static_cast<std::byte*>(device);
  const auto* from = static_cast<const std::byte*>(host);
  while (bytes > 0) {
    const std::size_t piece = std::min(bytes, kHalfBytes), at = reserve(piece);
    std::byte* const pinned = static_cast<std::byte*>(pinned_.get()) + at;
    std::byte* const staged = static_cast<std::byte*>(device_.get()) + at;
    std::memcpy(pinned, from, piece);
    UNROLL_CUDA_CHECK(
        cudaMemcpyAsync(staged, pinned, piece, cudaMemcpyHostToDevice, copies_.get()));
    UNROLL_CUDA_CHECK(cudaEventRecord(copied_.get(), copies_.get()));
    UNROLL_CUDA_CHECK(cudaStreamWaitEvent(compute_, copied_.get(), 0));
    UNROLL_CUDA_CHECK(cudaMemcpyAsync(to, staged, piece, cudaMemcpyDeviceToDevice, compute_));
    to += piece;
    from += piece;
    bytes -= piece;
  }
}

}  // namespace unroll::gpu
