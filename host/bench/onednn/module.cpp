/// The entry into libunroll_onednn.so.
#include "host/bench/onednn/module.h"

#include <oneapi/dnnl/dnnl.hpp>
#include <string>

#include "host/bench/onednn/plan.h"
#include "unroll/version.h"

namespace unroll::benchmark {
namespace {

std::string library_version() {
  const dnnl_version_t* const version = dnnl_version();  // of the loaded library, not of the header
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch);
}

constexpr OnednnModuleApi kApi{kVersion, library_version, make_onednn_plan};

}  // namespace
}  // namespace unroll::benchmark

const unroll::benchmark::OnednnModuleApi* unroll_onednn_module() {
  return &unroll::benchmark::kApi;
}
