/// How often the emulated CUDA was called, since the program began.
#pragma once

#include <dlfcn.h>

#include <cstdint>

namespace emulation {

struct Calls {
  std::int64_t malloc, free;  // of device memory
  std::int64_t stream_synchronize, device_synchronize, event_synchronize;
  std::int64_t copy_to_host;   // cudaMemcpy and cudaMemcpyAsync
  std::int64_t kernel_launch;  // like copies, without those of a capture
  std::int64_t graph_launch;
};

/// Those of the module that this program has loaded; null if it is not the emulated one.
inline const Calls* calls() {
  void* const module = dlopen("libunroll_cuda.so", RTLD_NOW | RTLD_NOLOAD);
  if (!module) return nullptr;
  const auto entry = reinterpret_cast<const Calls* (*)()>(dlsym(module, "unroll_emulated_calls"));
  return entry ? entry() : nullptr;
}

}  // namespace emulation

extern "C" [[gnu::visibility("default")]] const emulation::Calls* unroll_emulated_calls();
