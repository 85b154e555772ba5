#include "host/bench/onednn_module.h"

#include <stdexcept>
#include <string>

#include "host/base/module.h"
#include "host/bench/onednn/module.h"

namespace unroll::benchmark {
namespace {

const Module<OnednnModuleApi>& onednn_module() {
  static const Module<OnednnModuleApi> module({.what = "oneDNN",
                                               .file = "libunroll_onednn.so",
                                               .entry = "unroll_onednn_module",
                                               .install = "install oneDNN"});
  return module;
}

}  // namespace

std::optional<std::string> onednn_version(std::string* why_not) {
  const Module<OnednnModuleApi>& module = onednn_module();
  if (module.api) return module.api->library_version();
  if (why_not) *why_not = module.why_not;
  return std::nullopt;
}

std::unique_ptr<RecurrentPlan> onednn_recurrent_plan(const RecurrentArgs& args, int threads) {
  const Module<OnednnModuleApi>& module = onednn_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->recurrent_plan(args, threads);
}

}  // namespace unroll::benchmark
