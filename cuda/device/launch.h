/// Starts kernels. Not the <<< >>> of CUDA, so that the same sources also compile as plain C++
/// against the emulation of CUDA in tests/.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/device/runtime.h"

namespace unroll::gpu {

/// Blocks of `per_block` items for `items` of them: at least 1.
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

/// As launch(), all blocks being resident at the same time, so that they may wait for each other,
/// and with `shared_bytes` of dynamic shared memory for each. Fails if they do not all fit.
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

/// Lets the kernel be launched with up to this much dynamic shared memory: needed above 48 KB,
/// once. It loads the kernel, so not in a capture.
template <typename... Parameters>
void allow_shared_memory(void (*kernel)(Parameters...), std::size_t bytes) {
  UNROLL_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)));
}

}  // namespace unroll::gpu
