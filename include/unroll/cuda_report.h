/// What there is of CUDA on this machine, and how fast it is: to find out why a GPU is not used.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "unroll/device.h"

namespace unroll {

/// A part of the software. Exactly one of the two texts is empty.
struct CudaPart {
  std::string version;
  std::string why_not;  // why it is not there, on one line
};

struct CudaDeviceReport {
  std::string name;
  std::string compute_capability;  // "9.0"
  std::size_t free_bytes = 0;      // 0 if the device cannot be used
  std::size_t total_bytes = 0;
  std::string clocks;   // the clocks now, and the power limit; empty if they cannot be read
  std::string why_not;  // why it cannot be used; empty if it can
};

struct CudaReport {
  CudaPart module;  // libunroll_cuda.so; without it nothing is known about the rest
  /// What the module has code for: "sm_80" for instance, or "compute_90", which is PTX that the
  /// driver compiles for newer devices.
  std::vector<std::string> architectures;
  CudaPart driver, runtime, cublas;
  CudaPart cudnn;                         // only for the RNN algorithm cudnn
  std::string why_not;                    // why CUDA finds no devices; empty if it finds some
  std::vector<CudaDeviceReport> devices;  // in CUDA's order
};

/// The most that a device does, measured now. Lower bounds of other times are made of it.
struct CudaRates {
  double products = 0;  // floating-point operations a second in a large product of this precision
  double memory = 0;    // bytes a second, read and written, of a copy within the device
  double cache = 0;     // bytes a second from the L2 cache into all multiprocessors
  double kernel = 0;    // seconds from one kernel to the next that needs it, in a CUDA graph
  int processors = 0;   // streaming multiprocessors
};

/// Looks at everything anew, which takes a fraction of a second for each device.
CudaReport cuda_report();

/// Errors    std::runtime_error if there is no such device.
CudaRates cuda_rates(int ordinal, Precision precision);

/// The seconds in which all multiprocessors show each other a word through the L2 cache, within one
/// kernel; 0 if the device allows no such kernel. Not part of cuda_rates(), because blocks that
/// wait for each other can hang.
/// Errors    std::runtime_error if there is no such device, or if a block read a wrong word.
double cuda_exchange_seconds(int ordinal);

}  // namespace unroll
