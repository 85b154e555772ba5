#include "cuda/device/clocks.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include "cuda/device/runtime.h"

namespace unroll::gpu {
namespace {

// The part of NVML's C interface, nvml.h, that is used here. Every call returns 0 on success.
using Handle = struct NvmlDevice*;
constexpr int kSm = 1, kMemory = 2;  // nvmlClockType_t

template <typename... Arguments>
bool call(void* library, const char* name, Arguments... arguments) {
  const auto function = reinterpret_cast<int (*)(Arguments...)>(dlsym(library, name));
  return function && function(arguments...) == 0;
}

}  // namespace

std::string clocks(int ordinal) {
  char bus[32] = "";
  if (cudaDeviceGetPCIBusId(bus, sizeof bus, ordinal) != cudaSuccess) {
    forget_error();
    return "";
  }
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!library || !call(library, "nvmlInit_v2")) return "";
  Handle device = nullptr;
  unsigned now = 0, most = 0, memory = 0, milliwatts = 0;
  std::string text;
  if (call(library, "nvmlDeviceGetHandleByPciBusId_v2", static_cast<const char*>(bus), &device) &&
      call(library, "nvmlDeviceGetClockInfo", device, kSm, &now) &&
      call(library, "nvmlDeviceGetMaxClockInfo", device, kSm, &most) &&
      call(library, "nvmlDeviceGetClockInfo", device, kMemory, &memory)) {
    text = "SM " + std::to_string(now) + " of at most " + std::to_string(most) + " MHz, memory " +
           std::to_string(memory) + " MHz";
    if (call(library, "nvmlDeviceGetPowerManagementLimit", device, &milliwatts))
      text += ", power limit " + std::to_string(milliwatts / 1000) + " W";
  }
  call(library, "nvmlShutdown");
  return text;
}

}  // namespace unroll::gpu
