/// The engine's end of libunroll_cuda.so. It is opened the first time a GPU is asked for, and
/// never before: a program linked to CUDA's libraries would start tens of milliseconds later, and
/// not at all where there are none.
#include "unroll/cuda_module.h"

#include <stdexcept>
#include <string>

#include "host/base/module.h"
#include "unroll/backend.h"

namespace unroll {
namespace {

const Module<CudaModuleApi>& cuda_module() {
  static const Module<CudaModuleApi> module(
      {.what = "CUDA",
       .file = "libunroll_cuda.so",
       .entry = "unroll_cuda_module",
       .install = "install the libraries of the CUDA version it is part of"});
  return module;
}

}  // namespace

int cuda_device_count(std::string* why) noexcept {
  const Module<CudaModuleApi>& module = cuda_module();
  if (module.api) return module.api->device_count(why);
  if (why) *why = module.why_not;
  return 0;
}

std::shared_ptr<Backend> cuda(int ordinal, const CudaOptions& options) {
  const Module<CudaModuleApi>& module = cuda_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->make_backend(ordinal, options);
}

CudaReport cuda_report() {
  const Module<CudaModuleApi>& module = cuda_module();
  if (!module.api) return {.module = {"", module.why_not}};
  CudaReport report = module.api->report();
  report.module.version = module.api->version;
  return report;
}

CudaRates cuda_rates(int ordinal, Precision precision) {
  const Module<CudaModuleApi>& module = cuda_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->rates(ordinal, precision);
}

double cuda_exchange_seconds(int ordinal) {
  const Module<CudaModuleApi>& module = cuda_module();
  if (!module.api) throw std::runtime_error(module.why_not);
  return module.api->exchange_seconds(ordinal);
}

}  // namespace unroll
