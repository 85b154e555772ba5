/// Dynamic shared memory, whose size the launch gives. The emulation of CUDA in tests/ has its own
/// form of this file.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace unroll::gpu {

/// The dynamic shared memory of the block, aligned to 128 bytes. A kernel that uses it has no
/// static shared memory, which counts against the same limit; a cooperative kernel must not have
/// any.
__device__ inline std::byte* dynamic_shared() {
  extern __shared__ __align__(128) std::byte memory[];
  return memory;
}

}  // namespace unroll::gpu
