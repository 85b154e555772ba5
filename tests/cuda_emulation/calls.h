/// Counts the calls of the emulated CUDA since the start of the program.
#pragma once

#include <dlfcn.h>

#include <cstdint>

namespace emulation {

/// The work queued on streams, by kind.
struct Queued {
  std::int64_t kernel, library;  // library: calls of cuBLAS, cuDNN and CUB
  std::int64_t copy_to_device, copy_to_host, copy_within, clear;

  std::int64_t all() const {
    return kernel + library + copy_to_device + copy_to_host + copy_within + clear;
  }
};

struct Calls {
  std::int64_t malloc, free;  // of device memory
  std::int64_t stream_synchronize, device_synchronize, event_synchronize;
  std::int64_t event_record, event_wait;  // like `queued`, without those in a capture
  std::int64_t graph_launch;
  Queued queued;                               // without graphs
  Queued replayed;                             // nodes of graphs, once per launch
  std::int64_t bytes_to_device, bytes_within;  // of the queued copies
};

/// The counts of the module that this program has loaded; null if it is not the emulated one.
inline const Calls* calls() {
  void* const module = dlopen("libunroll_cuda.so", RTLD_NOW | RTLD_NOLOAD);
  if (!module) return nullptr;
  const auto entry = reinterpret_cast<const Calls* (*)()>(dlsym(module, "unroll_emulated_calls"));
  return entry ? entry() : nullptr;
}

}  // namespace emulation

extern "C" [[gnu::visibility("default")]] const emulation::Calls* unroll_emulated_calls();
