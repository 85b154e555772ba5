#include "host/bench/onednn_module.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "host/bench/onednn/module.h"
#include "unroll/version.h"

namespace unroll::benchmark {
namespace {

constexpr const char* kFile = "libunroll_onednn.so";

struct OnednnModule {
  const OnednnModuleApi* api = nullptr;
  std::string why_not;  // empty if api is set
};

OnednnModule load() {
  // A bare name: the RUNPATH of the calling binary decides where to look. Never closed, because
  // plans and their deleters live in the module.
  void* const library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const std::string error = dlerror();  // "NAME: cannot open shared object file: ..."
    if (error.starts_with(std::string(kFile) + ": cannot open"))
      return {nullptr,
              std::string("no oneDNN module (") + kFile + ") is installed with this build"};
    return {nullptr, "the oneDNN module does not load: " + error};
  }
  const auto entry =
      reinterpret_cast<decltype(&unroll_onednn_module)>(dlsym(library, "unroll_onednn_module"));
  if (!entry) return {nullptr, std::string(kFile) + " is not Unroll's oneDNN module"};
  const OnednnModuleApi* const api = entry();
  if (std::string(api->version) != kVersion)
    return {nullptr,
            std::string(kFile) + " has version " + api->version + ", expected " + kVersion};
  return {api, ""};
}

const OnednnModule& onednn_module() {
  static const OnednnModule module = load();
  return module;
}

}  // namespace

std::optional<std::string> onednn_version(std::string* why_not) {
  const OnednnModule& module = onednn_module();
  if (module.api) return module.api->library_version();
  if (why_not) *why_not = module.why_not;
  return std::nullopt;
}

std::unique_ptr<RecurrentPlan> onednn_recurrent_plan(const RecurrentArgs& args, int threads) {
  const OnednnModule& module = onednn_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->recurrent_plan(args, threads);
}

}  // namespace unroll::benchmark
