/// What libunroll_cuda.so offers to the library that loads it. The two are built and installed
/// together. A module of another version is refused.
#pragma once

#include <memory>
#include <string>

#include "unroll/backend.h"
#include "unroll/cuda_report.h"

namespace unroll {

struct CudaModuleApi {
  const char* version;  // first, so that it can be read whatever follows it

  /// The devices that this module can compute on now; if there are none, `why` (if given) says why.
  int (*device_count)(std::string* why) noexcept;

  /// Throws std::runtime_error, on one line, if that device cannot be used.
  std::shared_ptr<Backend> (*make_backend)(int ordinal, const CudaOptions& options);

  /// All but `module`, which the library that loads it knows.
  CudaReport (*report)();

  /// For a device that can be used.
  CudaRates (*rates)(int ordinal, Precision precision);
  double (*exchange_seconds)(int ordinal);
};

}  // namespace unroll

/// The module's only symbol. The result lives as long as the module, which is never unloaded.
extern "C" [[gnu::visibility("default")]] const unroll::CudaModuleApi* unroll_cuda_module();
