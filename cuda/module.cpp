/// The entry into libunroll_cuda.so: which devices there are, why one cannot be used, and a backend
/// for one of them.
#include "unroll/cuda_module.h"

#include <cublas_v2.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/backend.h"
#include "cuda/cudnn/cudnn.h"
#include "cuda/device/clocks.h"
#include "cuda/device/device_rates.h"
#include "cuda/device/runtime.h"
#include "unroll/version.h"

namespace unroll {
namespace {

constexpr int kOldestMajor = 8;  // compute capability 8.0 introduced bf16 and asynchronous copies

/// "12.4" for CUDA's number 1000 major + 10 minor.
std::string cuda_version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

/// A driver supports all runtimes of its own major version and of older ones.
std::string driver_needed() {
  return "install one that supports CUDA " + cuda_version(CUDART_VERSION / 1000 * 1000) +
         " or newer";
}

/// The CUDA version that the driver supports; 0: no driver is installed.
int driver_version() {
  int version = 0;
  if (cudaDriverGetVersion(&version) == cudaSuccess) return version;
  gpu::forget_error();
  return 0;
}

/// Why CUDA itself does not work here; empty if it works. Sets the number of devices that CUDA
/// sees, in CUDA's order.
std::string why_no_cuda(int* devices) {
  *devices = 0;
  const cudaError_t status = cudaGetDeviceCount(devices);
  if (status == cudaSuccess) return *devices > 0 ? "" : "no CUDA device";
  gpu::forget_error();  // reported here, not by the next call
  *devices = 0;
  if (status == cudaErrorNoDevice) return "the NVIDIA driver sees no CUDA device";

  const int driver = driver_version();
  if (driver == 0) return "no NVIDIA driver is installed; " + driver_needed();
  if (status == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is too old: it supports CUDA " + cuda_version(driver) + "; " +
           driver_needed();
  return std::string("CUDA does not start: ") + cudaGetErrorString(status);
}

/// The code that this module has for one of the build's CMAKE_CUDA_ARCHITECTURES: "90-real" is
/// machine code for 9.0 and later 9.x, "90-virtual" is PTX for 9.0 and everything newer, "90" is
/// both.
struct Architecture {
  std::string name;
  int number = 0;  // 10 major + minor; 0: a name like "native", which says nothing
  bool machine_code, ptx;

  bool serves(int major, int minor) const {
    if (number == 0) return true;
    return (machine_code && number / 10 == major && number % 10 <= minor) ||
           (ptx && number <= 10 * major + minor);
  }
};

std::vector<Architecture> architectures() {
  std::vector<Architecture> all;
  std::istringstream words(UNROLL_CUDA_ARCHITECTURES);
  for (std::string word; std::getline(words, word, ',');) {
    Architecture one{
        .name = word, .machine_code = !word.ends_with("-virtual"), .ptx = !word.ends_with("-real")};
    std::istringstream(word) >> one.number;
    all.push_back(one);
  }
  return all;
}

std::string capability(int major, int minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

/// Why the device cannot be used; empty if it can.
std::string why_not_device(int ordinal) {
  cudaDeviceProp properties;
  UNROLL_CUDA_CHECK(cudaGetDeviceProperties(&properties, ordinal));
  const std::string has = gpu::device_label(ordinal) + " has compute capability " +
                          capability(properties.major, properties.minor);
  if (properties.major < kOldestMajor)
    return has + ", expected " + std::to_string(kOldestMajor) + ".0 or newer";
  for (const Architecture& one : architectures())
    if (one.serves(properties.major, properties.minor)) return "";
  return has +
         ", for which this build has no code (" UNROLL_CUDA_ARCHITECTURES
         "); build with -DCMAKE_CUDA_ARCHITECTURES=" +
         std::to_string(10 * properties.major + properties.minor);
}

int device_count(std::string* why) noexcept {
  int devices = 0;
  std::string reason = why_no_cuda(&devices);
  try {
    for (int ordinal = 0; ordinal < devices; ++ordinal) {
      reason = why_not_device(ordinal);
      if (reason.empty()) return devices;  // each of the others is refused when it is asked for
    }
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (why) *why = reason;
  return 0;
}

/// Throws if the device cannot be used.
void require_device(int ordinal) {
  int devices = 0;
  std::string reason = why_no_cuda(&devices);
  if (reason.empty() && (ordinal < 0 || ordinal >= devices))
    reason = "no CUDA device " + std::to_string(ordinal) + "; there are " +
             std::to_string(devices) + ", counted from 0";
  if (reason.empty()) reason = why_not_device(ordinal);
  if (!reason.empty()) throw std::runtime_error(reason);
}

std::shared_ptr<Backend> make_backend(int ordinal, const CudaOptions& options) {
  require_device(ordinal);
  return gpu::make_backend(ordinal, options);
}

CudaRates rates(int ordinal, Precision precision) {
  require_device(ordinal);
  return gpu::measure_rates(ordinal, precision);
}

double exchange_seconds(int ordinal) {
  require_device(ordinal);
  return gpu::measure_exchange_seconds(ordinal);
}

/// The driver's own version number, which no CUDA call returns, and the CUDA version that it
/// supports.
CudaPart report_driver() {
  const int version = driver_version();
  if (version == 0) return {"", "not installed; " + driver_needed()};
  std::string number;
  if (std::ifstream("/sys/module/nvidia/version") >> number) number += ", ";
  return {number + "supports CUDA " + cuda_version(version), ""};
}

CudaPart report_cublas() {
  int major = 0, minor = 0, patch = 0;
  if (cublasGetProperty(MAJOR_VERSION, &major) != CUBLAS_STATUS_SUCCESS ||
      cublasGetProperty(MINOR_VERSION, &minor) != CUBLAS_STATUS_SUCCESS ||
      cublasGetProperty(PATCH_LEVEL, &patch) != CUBLAS_STATUS_SUCCESS)
    return {"", "does not say its version"};
  return {capability(major, minor) + "." + std::to_string(patch), ""};
}

CudaPart report_cudnn() {
  const gpu::cudnn::Library library = gpu::cudnn::load();
  return {library.version, library.why_not};
}

CudaDeviceReport report_device(int ordinal) {
  CudaDeviceReport report;
  try {
    cudaDeviceProp properties;
    UNROLL_CUDA_CHECK(cudaGetDeviceProperties(&properties, ordinal));
    report.name = properties.name;
    report.compute_capability = capability(properties.major, properties.minor);
    report.total_bytes = properties.totalGlobalMem;
    report.clocks = gpu::clocks(ordinal);
    report.why_not = why_not_device(ordinal);
    if (!report.why_not.empty()) return report;
    // This is the first step that starts work on the device: another program may use it
    // exclusively.
    int before = 0;
    UNROLL_CUDA_CHECK(cudaGetDevice(&before));
    UNROLL_CUDA_CHECK(cudaSetDevice(ordinal));
    UNROLL_CUDA_CHECK(cudaMemGetInfo(&report.free_bytes, &report.total_bytes));
    UNROLL_CUDA_CHECK(cudaSetDevice(before));
  } catch (const std::runtime_error& error) {
    report.why_not = error.what();
  }
  return report;
}

CudaReport report() {
  CudaReport report;
  for (const Architecture& one : architectures()) {
    const std::string number = one.number == 0 ? one.name : std::to_string(one.number);
    if (one.machine_code) report.architectures.push_back("sm_" + number);
    if (one.ptx) report.architectures.push_back("compute_" + number);
  }
  report.driver = report_driver();
  report.runtime = {cuda_version(CUDART_VERSION), ""};
  report.cublas = report_cublas();
  report.cudnn = report_cudnn();
  int devices = 0;
  report.why_not = why_no_cuda(&devices);
  for (int ordinal = 0; ordinal < devices; ++ordinal)
    report.devices.push_back(report_device(ordinal));
  return report;
}

}  // namespace
}  // namespace unroll

const unroll::CudaModuleApi* unroll_cuda_module() {
  static const unroll::CudaModuleApi api{unroll::kVersion,     unroll::device_count,
                                         unroll::make_backend, unroll::report,
                                         unroll::rates,        unroll::exchange_seconds};
  return &api;
}
