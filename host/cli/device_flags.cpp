#include "host/cli/device_flags.h"

#include <fmt/format.h>

#include <stdexcept>

#include "host/cli/output.h"
#include "host/cli/rnn_algorithm.h"
#include "host/cli/values.h"
#include "unroll/backend.h"
#include "unroll/cpu_limits.h"

namespace unroll::cli {
namespace {

std::shared_ptr<Backend> use(std::shared_ptr<Backend> backend, const std::string& why) {
  note("device: " + backend->name() + why);
  return backend;
}

std::shared_ptr<Backend> use_cpu(int threads, const std::string& why) {
  const ProcessorLimit limit = processor_limit();
  if (threads > limit.processors)
    warn(fmt::format("{} threads take turns on {} processor{}{}", threads, limit.processors,
                     limit.processors == 1 ? "" : "s",
                     limit.file.empty() ? "" : ", the limit in " + limit.file));
  return use(cpu(threads), why);
}

}  // namespace

std::string AutoDevice::why() const {
  return gpu ? ", the first usable GPU" : "; no GPU: " + why_no_gpu;
}

AutoDevice choose_automatically(int devices, const std::string& none,
                                const std::function<std::string(int)>& why_not) {
  std::string why = none;
  for (int ordinal = 0; ordinal < devices; ++ordinal) {
    why = why_not(ordinal);
    if (why.empty()) return {ordinal, ""};
  }
  return {std::nullopt, why};
}

void DeviceFlags::add_to(CLI::App& command) {
  const auto add = [&](const char* flag, auto& value, const char* help) {
    return command.add_option(flag, value, help)->group("Device")->capture_default_str();
  };
  add("--device", device, "auto, cpu, cuda or cuda:N; auto: a GPU if there is one");
  precision_option_ = add("--precision", precision,
                          "What matrix products compute in: fp32, or on a GPU tf32 or bf16");
  threads_option_ =
      add("--threads", threads, "Threads on the CPU; 0: one per processor it may use");
}

std::string DeviceFlags::beyond_cpu(const RecurrentAlgorithm& algorithm) const {
  if (precision != to_string(Precision::kFp32))
    return fmt::format("--precision: got {}, expected fp32: the CPU computes in fp32", precision);
  return refusal_of(algorithm, why_not(algorithm, DeviceKind::kCpu));
}

void DeviceFlags::check(const RecurrentAlgorithm& algorithm) const {
  choose_precision(precision);
  require_range("--threads", threads, 0, 4096);
  if (device != "auto" && device != "cpu" && device != "cuda" && !number_after("cuda:", device))
    throw UsageError("--device: got '" + device + "', expected auto, cpu, cuda or cuda:N");
  if (const std::string what = beyond_cpu(algorithm); device == "cpu" && !what.empty())
    throw UsageError(what);
}

int DeviceFlags::ordinal() const {
  return number_after("cuda:", device).value_or(0);
}

std::shared_ptr<Backend> DeviceFlags::open(const RecurrentAlgorithm& algorithm) const {
  check(algorithm);
  if (device == "cpu") return use_cpu(threads, ", as asked");
  const CudaOptions options{choose_precision(precision), algorithm, warn};
  if (device == "auto") return open_automatically(options);
  try {
    return use(cuda(ordinal(), options), ", as asked");
  } catch (const Unsupported&) {
    throw;  // it is not the device
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(
        fmt::format("--device {}: {}; --device cpu works without a GPU", device, error.what()));
  }
}

std::shared_ptr<Backend> DeviceFlags::open_automatically(const CudaOptions& options) const {
  std::string none;
  const int devices = cuda_device_count(&none);
  std::shared_ptr<Backend> gpu;
  const AutoDevice choice = choose_automatically(devices, none, [&](int ordinal) -> std::string {
    try {
      gpu = cuda(ordinal, options);
      return "";
    } catch (const Unsupported&) {
      throw;  // on no device
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  });
  if (choice.gpu) return use(gpu, choice.why());
  if (const std::string what = beyond_cpu(options.recurrent_algorithm); !what.empty())
    throw std::runtime_error(
        fmt::format("{}, and no GPU can be used: {}", what, choice.why_no_gpu));
  return use_cpu(threads, choice.why());
}

}  // namespace unroll::cli
