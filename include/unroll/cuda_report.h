/// What there is of CUDA on this machine, for whoever wonders why there is no GPU.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace unroll {

/// Of the two texts one is empty, always.
struct CudaPart {
  std::string version;
  std::string why_not;  // it is not there, on one line
};

struct CudaDeviceReport {
  std::string name;
  std::string compute_capability;  // "9.0"
  std::size_t free_bytes = 0;      // 0 of a device that cannot be used
  std::size_t total_bytes = 0;
  std::string why_not;  // what keeps it from being used; empty if nothing does
};

struct CudaReport {
  CudaPart module;  // libunroll_cuda.so; without it nothing is known of the rest
  /// What the module has code for: "sm_80", or "compute_90", which is PTX: the driver compiles it
  /// for newer devices.
  std::vector<std::string> architectures;
  CudaPart driver, runtime, cublas;
  CudaPart cudnn;       // for --rnn-algorithm cudnn alone
  std::string why_not;  // what keeps CUDA from finding devices; empty if nothing does
  std::vector<CudaDeviceReport> devices;  // in CUDA's order
};

/// Looks at everything anew, which takes a fraction of a second for each device.
CudaReport cuda_report();

}  // namespace unroll
