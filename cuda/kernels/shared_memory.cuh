/// Shared memory of which the launch says how much there is. The emulation of CUDA in tests/ has
/// its own form of this file.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace unroll::gpu {

/// Of the block, aligned to 128 bytes. A kernel that uses it has no static shared memory besides,
/// which would come out of the same limit; one that is launched cooperatively must not have any.
__device__ inline std::byte* dynamic_shared() {
  extern __shared__ __align__(128) std::byte memory[];
  return memory;
}

}  // namespace unroll::gpu
