/// What there is of CUDA on this machine, for whoever wonders why there is no GPU.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "unroll/backend.h"

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
  std::string clocks;   // as they are now, and the power limit; empty if nobody says
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

/// What a device does at most, measured now: what floors of other times are made of.
struct CudaRates {
  double products = 0;  // floating-point operations a second in a large product of this precision
  double memory = 0;    // bytes a second, read and written, of a copy within the device
  double cache = 0;     // bytes a second from the L2 cache into all multiprocessors
  double kernel = 0;    // seconds from one kernel to the next that needs it, in a CUDA graph
  int processors = 0;   // streaming multiprocessors
};

/// Errors    std::runtime_error if there is no such device.
CudaRates cuda_rates(int ordinal, Precision precision);
/// Seconds in which all multiprocessors show each other a word through L2, within one kernel; 0 if
/// the device lets no kernel do that. Measured apart: blocks that wait for each other are what can
/// hang.
/// Errors    std::runtime_error if there is no such device, or if a block read what was not there.
double cuda_exchange_seconds(int ordinal);

/// Looks at everything anew, which takes a fraction of a second for each device.
CudaReport cuda_report();

}  // namespace unroll
