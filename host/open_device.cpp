/// Which device a name means, and what "auto" is: the one place that decides it.
#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "unroll/device.h"

namespace unroll {
namespace {

/// N of "cuda:N", 0 of "cuda", -1 of anything else.
int ordinal_of(std::string_view name) {
  if (name == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  int ordinal = -1;
  if (!name.starts_with(kPrefix)) return -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, ordinal);
  return error == std::errc() && stop == end ? ordinal : -1;
}

std::shared_ptr<Backend> processor(int threads, Precision precision) {
  return cpu(threads, precision == Precision::kTf32 ? Precision::kFp32 : precision);
}

}  // namespace

FoundGpu find_gpu(const CudaOptions& options) {
  FoundGpu found;
  const int devices = cuda_device_count(&found.why_not);
  for (int ordinal = 0; ordinal < devices; ++ordinal) {
    try {
      return {cuda(ordinal, options), ordinal, ""};
    } catch (const Unsupported&) {
      throw;
    } catch (const std::runtime_error& error) {
      found.why_not = error.what();
    }
  }
  return found;
}

OpenedDevice open_device(const std::string& name, int threads, const CudaOptions& options) {
  if (name == "cpu") return {processor(threads, options.precision), ""};
  if (name == "auto") {
    FoundGpu gpu = find_gpu(options);
    if (gpu.backend) return {std::move(gpu.backend), ""};
    return {processor(threads, options.precision), gpu.why_not};
  }
  const int ordinal = ordinal_of(name);
  if (ordinal < 0)
    throw std::invalid_argument("device: got '" + name + "', expected auto, cpu, cuda or cuda:N");
  return {cuda(ordinal, options), ""};
}

}  // namespace unroll
