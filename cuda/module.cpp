/// The way into libunroll_cuda.so: which devices there are, why not, and a backend on one of them.
#include "unroll/cuda_module.h"

#include <stdexcept>
#include <string>

#include "cuda/runtime.h"

namespace unroll {
namespace {

constexpr int kOldestMajor = 8;  // compute capability 8.0: bf16 and asynchronous copies

/// "12.4" as CUDA writes it: 1000 major + 10 minor.
std::string cuda_version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

/// What keeps CUDA itself from working here; empty if nothing does. Sets the number of devices that
/// CUDA sees, in the order in which it numbers them.
std::string why_no_cuda(int* devices) {
  *devices = 0;
  const cudaError_t status = cudaGetDeviceCount(devices);
  if (status == cudaSuccess) return *devices > 0 ? "" : "no CUDA device";
  static_cast<void>(cudaGetLastError());  // reported here, not by the next call
  *devices = 0;
  if (status == cudaErrorNoDevice) return "the NVIDIA driver sees no CUDA device";

  int driver = 0;  // stays 0 where no driver is installed
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
    return "no NVIDIA driver is installed";
  if (status == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is too old: it supports CUDA " + cuda_version(driver) +
           ", expected " + cuda_version(CUDART_VERSION) + " or newer";
  return std::string("CUDA does not start: ") + cudaGetErrorString(status);
}

/// What keeps one device from being used; empty if nothing does.
std::string why_not_device(int ordinal) {
  cudaDeviceProp properties;
  UNROLL_CUDA_CHECK(cudaGetDeviceProperties(&properties, ordinal));
  const std::string device =
      "CUDA device " + std::to_string(ordinal) + " (" + properties.name + ")";
  if (properties.major < kOldestMajor)
    return device + " has compute capability " + std::to_string(properties.major) + "." +
           std::to_string(properties.minor) + ", expected " + std::to_string(kOldestMajor) +
           ".0 or newer";
  return "this build's CUDA module has no kernels yet, so it cannot use " + device;
}

int device_count(std::string* why) noexcept {
  int devices = 0;
  std::string reason = why_no_cuda(&devices);
  try {
    for (int ordinal = 0; ordinal < devices; ++ordinal) {
      reason = why_not_device(ordinal);
      if (reason.empty()) return devices;  // the others are refused by name when asked for
    }
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (why) *why = reason;
  return 0;
}

std::shared_ptr<Backend> make_backend(int ordinal, const CudaOptions&) {
  int devices = 0;
  std::string reason = why_no_cuda(&devices);
  if (reason.empty() && (ordinal < 0 || ordinal >= devices))
    reason = "no CUDA device " + std::to_string(ordinal) + "; there are " +
             std::to_string(devices) + ", counted from 0";
  if (reason.empty()) reason = why_not_device(ordinal);
  throw std::runtime_error(reason);
}

}  // namespace
}  // namespace unroll

const unroll::CudaModuleApi* unroll_cuda_module() {
  static const unroll::CudaModuleApi api{UNROLL_VERSION, unroll::device_count,
                                         unroll::make_backend};
  return &api;
}
