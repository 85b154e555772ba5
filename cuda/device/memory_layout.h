/// Offsets of buffers that share one allocation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace unroll::gpu {

/// Lays out several buffers in one memory, each aligned to 256 bytes.
class MemoryLayout {
 public:
  /// Adds a buffer of that many elements of `size` bytes each, and returns its offset.
  std::size_t take(std::int64_t elements, std::size_t size) {
    const std::size_t at = bytes_;
    bytes_ += (std::size_t(elements) * size + 255) / 256 * 256;
    return at;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

}  // namespace unroll::gpu
