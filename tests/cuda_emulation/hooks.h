/// What a library beside the emulated CUDA, a stand-in for one that a program loads by itself,
/// needs of it.
#pragma once

#include <cstddef>
#include <functional>

#include "tests/cuda_emulation/include/cuda_runtime_api.h"

namespace emulation {

struct Hooks {
  /// As enqueue() of include/emulation.h.
  cudaError_t (*enqueue)(cudaStream_t stream, std::function<void()> work);
  bool (*is_device_memory)(const void* memory, std::size_t bytes);
};

}  // namespace emulation

extern "C" [[gnu::visibility("default")]] const emulation::Hooks* unroll_emulation_hooks();
