/// The devices that a session computes on: make one with open_device(), cpu() or cuda().
///
/// A device may serve several sessions of one thread. Only one thread at a time may use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "unroll/recurrent_algorithm.h"

namespace unroll {

/// A device as the engine sees it. Users pass it on; backend.h says what it does.
class Backend;

enum class DeviceKind : std::uint8_t { kCpu, kCuda };

/// What matrix products compute in. Sums, cell states, softmax and optimisers always use float32.
enum class Precision : std::uint8_t {
  kFp32,  // IEEE float32
  kTf32,  // operands rounded to 10 bits of mantissa; CUDA only
  kBf16,  // operands and the activations between them in bfloat16
};

/// "fp32", "tf32", "bf16".
inline std::string to_string(Precision precision) {
  return precision == Precision::kFp32 ? "fp32" : precision == Precision::kTf32 ? "tf32" : "bf16";
}

/// Memory of a device, in bytes.
struct DeviceMemoryUse {
  std::size_t now = 0;        // held by tensors and by the device's own buffers
  std::size_t peak = 0;       // the most that was held so far
  std::size_t available = 0;  // what could be allocated besides
};

/// A call to the device failed. Later calls may fail too, until the process ends.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The device cannot do what was asked in this form. The text names a form that works. Nothing has
/// failed, and the device can still be used.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct CudaOptions {
  Precision precision = Precision::kFp32;
  RecurrentAlgorithm recurrent_algorithm = {};  // auto
  /// Gets lines that a user should read although nothing has failed: an algorithm that does not
  /// work on this device, a resource that could not be released. Empty: they are dropped. It lives
  /// as long as the backend, and any thread that frees memory of a device may call it.
  std::function<void(const std::string&)> note = {};
};

/// The processor.
/// Units     `threads`: 0 means one per processor that this process may use.
/// Errors    std::invalid_argument for a negative number of threads, and for TF32.
std::shared_ptr<Backend> cpu(int threads = 0, Precision precision = Precision::kFp32);

/// The number of CUDA devices that can be used now: 0 without a GPU, a driver, or the CUDA module.
/// `why`, if given, then receives the reason, on one line.
int cuda_device_count(std::string* why = nullptr) noexcept;

/// A GPU; `ordinal` counts as CUDA does, from 0.
/// Errors    std::runtime_error, with the reason, if there is no such device; Unsupported for an
///           algorithm whose library is not installed.
std::shared_ptr<Backend> cuda(int ordinal = 0, const CudaOptions& options = {});

struct FoundGpu {
  std::shared_ptr<Backend> backend;  // null if there is none
  int ordinal = -1;                  // as CUDA counts
  std::string why_not;  // if there is none: why not the last one, or why there are no devices
};
/// The first GPU that can be used, in CUDA's order.
/// Errors    Unsupported as cuda(): that is so on every device.
FoundGpu find_gpu(const CudaOptions& options = {});

struct OpenedDevice {
  std::shared_ptr<Backend> backend;
  std::string why_no_gpu;  // where "auto" took the processor
};
/// The device of that name: "cpu"; "cuda", which is the first GPU; "cuda:N"; or "auto", which is
/// what find_gpu() finds, else the processor. `threads` are for the processor. Of the `options` it
/// takes only the precision, and computes in fp32 if that is TF32.
/// Errors    std::invalid_argument for another name; others as cpu() and cuda().
OpenedDevice open_device(const std::string& name = "auto", int threads = 0,
                         const CudaOptions& options = {});

}  // namespace unroll
