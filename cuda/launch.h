/// Starts kernels. Not the <<< >>> of CUDA, so that the same sources also compile as plain C++
/// against the emulation of CUDA in tests/.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda/runtime.h"

namespace unroll::gpu {

/// Blocks of `per_block` items for `items` of them: at least 1.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return unsigned(std::max<std::int64_t>(1, (items + per_block - 1) / per_block));
}

template <typename... Parameters, typename... Arguments>
void launch(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = stream;
  UNROLL_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

}  // namespace unroll::gpu
