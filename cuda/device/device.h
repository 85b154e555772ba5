/// What all kernels of one CUDA backend share: the stream, cuBLAS, memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "cuda/device/gemm.h"
#include "cuda/device/grid_watcher.h"
#include "cuda/device/runtime.h"
#include "cuda/device/variable_copies.h"
#include "unroll/device.h"

namespace unroll::gpu {

/// Any thread may call it, but only one at a time. Members that need the device to be current in
/// the calling thread make it so.
class Device {
 public:
  Device(int ordinal, const CudaOptions& options);

  int ordinal() const { return ordinal_; }
  /// For other calls that need the current device.
  void make_current() const { UNROLL_CUDA_CHECK(cudaSetDevice(ordinal_)); }
  cudaStream_t stream() const {
    make_current();
    return stream_.get();
  }
  Precision precision() const { return precision_; }
  /// The operands of products: float32, or bfloat16 at that precision.
  Element element() const {
    return precision_ == Precision::kBf16 ? Element::kBfloat16 : Element::kFloat32;
  }
  /// Tells the caller of the backend, who may have asked for nothing.
  void note(const std::string& line) const {
    if (*note_) (*note_)(line);
  }
  int processors() const { return processors_; }  // streaming multiprocessors
  /// The most bytes that a block can have, after allow_shared_memory().
  std::size_t shared_memory() const { return std::size_t(shared_memory_); }

  void multiply(const Gemm& args) const {
    make_current();
    cublas_.multiply(args);
  }
  /// With the device current.
  cublasHandle_t cublas() const {
    make_current();
    return cublas_.handle();
  }
  VariableCopies& variable_copies() { return variable_copies_; }
  GridWatcher& grid_watcher() { return grid_watcher_; }

  /// Partial results of sums in two stages: valid for one operation, until the next one on the
  /// stream.
  static constexpr std::int64_t kPartialSums = 1024;
  float* partial_sums() const { return static_cast<float*>(partial_sums_.get()); }

  /// Device memory that is counted, aligned to 256, and freed with the last copy of the pointer.
  std::shared_ptr<void> allocate(std::size_t bytes);
  DeviceMemoryUse memory() const;

 private:
  struct Counts {
    std::size_t now = 0, peak = 0;
  };

  int ordinal_;
  std::shared_ptr<const Note> note_;  // before all that reports its own end
  Precision precision_;
  int processors_ = 0, shared_memory_ = 0;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();  // outlives all memory
  Stream stream_;
  Cublas cublas_;
  DeviceMemory partial_sums_;
  GridWatcher grid_watcher_;
  VariableCopies variable_copies_;
};

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace unroll::gpu
