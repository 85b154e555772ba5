/// Starts kernels. It replaces CUDA's <<< >>>, so that the same sources also compile as plain C++
/// against the emulation of CUDA in tests/.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/device/runtime.h"

namespace unroll::gpu {

/// The number of blocks of `per_block` items that hold `items` items, at least 1.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return unsigned(std::max<std::int64_t>(1, (items + per_block - 1) / per_block));
}

inline cudaLaunchConfig_t launch_config(cudaStream_t stream, dim3 grid, dim3 block,
                                        std::size_t shared_bytes = 0) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return config;
}

template <typename... Parameters, typename... Arguments>
void launch(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  const cudaLaunchConfig_t config = launch_config(stream, grid, block);
  UNROLL_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

/// Like launch(), with `shared_bytes` of dynamic shared memory per block and all blocks resident at
/// the same time, so that they may wait for each other. Fails if they do not all fit.
template <typename... Parameters, typename... Arguments>
void launch_cooperative(cudaStream_t stream, dim3 grid, dim3 block, std::size_t shared_bytes,
                        void (*kernel)(Parameters...), const Arguments&... arguments) {
  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  cudaLaunchConfig_t config = launch_config(stream, grid, block, shared_bytes);
  config.attrs = &cooperative;
  config.numAttrs = 1;
  UNROLL_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

/// Allows the kernel this much dynamic shared memory per block: needed once, above 48 KB. It loads
/// the kernel, so do not call it during a capture.
template <typename... Parameters>
void allow_shared_memory(void (*kernel)(Parameters...), std::size_t bytes) {
  UNROLL_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)));
}

}  // namespace unroll::gpu
