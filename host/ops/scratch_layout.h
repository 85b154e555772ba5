/// How an operation divides its scratch memory.
#pragma once

#include <cstddef>
#include <utility>

#include "host/graph/arena.h"
#include "unroll/graph.h"

namespace unroll {

/// Memory that is handed out piece by piece, each aligned like an arena's.
class ScratchLayout {
 public:
  /// The offset of a piece.
  std::size_t add(std::size_t bytes) { return std::exchange(bytes_, bytes_ + aligned(bytes)); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

inline View piece_of(const View& scratch, std::size_t offset, const TensorType& type) {
  return {static_cast<std::byte*>(scratch.data) + offset, type.shape, type.dtype};
}

}  // namespace unroll
