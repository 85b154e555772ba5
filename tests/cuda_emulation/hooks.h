/// The functions of the emulated CUDA for a library beside it, such as the stand-in for cuDNN, that
/// a program loads separately.
#pragma once

#include <cstddef>
#include <functional>

#include "tests/cuda_emulation/include/cuda_runtime_api.h"

namespace emulation {

struct Hooks {
  /// enqueue() of include/emulation.h.
  cudaError_t (*enqueue)(cudaStream_t stream, std::function<void()> work);
  bool (*is_device_memory)(const void* memory, std::size_t bytes);
};

}  // namespace emulation

extern "C" [[gnu::visibility("default")]] const emulation::Hooks* unroll_emulation_hooks();
