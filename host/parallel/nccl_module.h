/// What libunroll_nccl.so offers to the program that loads it. The two are built and installed
/// together. A module of another version is refused.
#pragma once

#include <memory>
#include <string>

#include "host/parallel/device_exchange.h"

namespace unroll {

struct NcclRank {
  std::string id;  // of make_id() on rank 0
  int rank = 0, ranks = 1;
  Backend* device = nullptr;  // a CUDA device of its own; must outlive what is joined
};

struct NcclModuleApi {
  const char* version;  // first, so that it can be read whatever follows it

  /// "2.28.9"
  std::string (*library_version)();
  /// What all ranks of one group need to find each other.
  /// Errors    std::runtime_error on one line.
  std::string (*make_id)();
  /// Waits for all ranks.
  /// Errors    std::runtime_error on one line.
  std::unique_ptr<DeviceExchange> (*join)(const NcclRank& rank);
};

}  // namespace unroll

/// The module's only symbol. The result lives as long as the module, which is never unloaded.
extern "C" [[gnu::visibility("default")]] const unroll::NcclModuleApi* unroll_nccl_module();
