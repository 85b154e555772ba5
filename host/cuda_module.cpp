/// The engine's end of libunroll_cuda.so. It is opened the first time a GPU is asked for, and
/// never before: a program linked to CUDA's libraries would start tens of milliseconds later, and
/// not at all where there are none.
#include "unroll/cuda_module.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "unroll/backend.h"
#include "unroll/version.h"

namespace unroll {
namespace {

constexpr const char* kFile = "libunroll_cuda.so";

struct CudaModule {
  const CudaModuleApi* api = nullptr;
  std::string why_not;  // empty if api is set
};

/// In the loader's words "NAME: cannot open shared object file: No such file or directory".
std::string why_not_loaded(const std::string& error) {
  const std::size_t name = error.find(": cannot open shared object file");
  if (name == error.npos) return "the CUDA module does not load: " + error;
  const std::string library = error.substr(0, name);
  // A library that the module itself lacks is named first in the same message.
  if (library == kFile)
    return std::string("no CUDA module (") + kFile + ") is installed with this build";
  return "the CUDA module does not load: " + library +
         ": not found; install the libraries of the CUDA version it is part of, or name the folder "
         "with them in LD_LIBRARY_PATH";
}

CudaModule load() {
  // A bare name, so that the RUNPATH of whatever holds this code decides where to look. Never
  // closed: backends and their deleters live in it.
  void* const library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (!library) return {nullptr, why_not_loaded(dlerror())};
  const auto entry =
      reinterpret_cast<decltype(&unroll_cuda_module)>(dlsym(library, "unroll_cuda_module"));
  if (!entry) return {nullptr, std::string(kFile) + " is not Unroll's CUDA module"};
  const CudaModuleApi* const api = entry();
  if (std::string(api->version) != kVersion)
    return {nullptr,
            std::string(kFile) + " is of version " + api->version + ", expected " + kVersion};
  return {api, ""};
}

const CudaModule& cuda_module() {
  static const CudaModule module = load();
  return module;
}

}  // namespace

int cuda_device_count(std::string* why) noexcept {
  const CudaModule& module = cuda_module();
  if (module.api) return module.api->device_count(why);
  if (why) *why = module.why_not;
  return 0;
}

std::shared_ptr<Backend> cuda(int ordinal, const CudaOptions& options) {
  const CudaModule& module = cuda_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->make_backend(ordinal, options);
}

CudaReport cuda_report() {
  const CudaModule& module = cuda_module();
  if (!module.api) return {.module = {"", module.why_not}};
  CudaReport report = module.api->report();
  report.module.version = module.api->version;
  return report;
}

CudaRates cuda_rates(int ordinal, Precision precision) {
  const CudaModule& module = cuda_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->rates(ordinal, precision);
}

double cuda_exchange_seconds(int ordinal) {
  const CudaModule& module = cuda_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->exchange_seconds(ordinal);
}

}  // namespace unroll
