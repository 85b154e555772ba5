#include "host/cli/device_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/cli/output.h"
#include "host/cli/rnn_algorithm.h"
#include "host/cli/values.h"
#include "unroll/backend.h"
#include "unroll/cpu_limits.h"

namespace unroll::cli {
namespace {

void warn_of_fewer_threads(int asked, const ProcessorLimit& limit) {
  warn(fmt::format("--threads {}: {} used, because the process may use {} processor{}{}", asked,
                   limit.processors == 1 ? "1 is" : fmt::format("{} are", limit.processors),
                   limit.processors, limit.processors == 1 ? "" : "s",
                   limit.file.empty() ? "" : ", the limit in " + limit.file));
}

}  // namespace

std::string why_automatic(const std::string& why_no_gpu) {
  return why_no_gpu.empty() ? ", the first usable GPU" : "; no GPU: " + why_no_gpu;
}

void DeviceFlags::add_to(CLI::App& command) {
  const auto add = [&](const char* flag, auto& value, const char* help) {
    return command.add_option(flag, value, help)->group("Device")->capture_default_str();
  };
  add("--device", device, "auto, cpu, cuda or cuda:N; auto: a GPU if there is one")
      ->envname("UNROLL_DEVICE");
  precision_option_ = add("--precision", precision,
                          "What matrix products compute in: fp32 or bf16, or on a GPU tf32");
  threads_option_ = add("--threads", threads, "Threads on the CPU; 0: one per processor it may use")
                        ->envname("UNROLL_THREADS");
}

std::string DeviceFlags::beyond_cpu(const RecurrentAlgorithm& algorithm) const {
  if (precision == to_string(Precision::kTf32))
    return "--precision: got tf32, expected fp32 or bf16: the CPU has no tf32";
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
  // More threads than processors take turns, which costs a third of the speed and gives the same
  // bits.
  const ProcessorLimit limit = processor_limit();
  OpenedDevice opened;
  try {
    opened = open_device(device, std::min(threads, limit.processors),
                         {choose_precision(precision), algorithm, warn});
  } catch (const Unsupported&) {
    throw;  // it is not the device
  } catch (const std::runtime_error& error) {
    if (!device.starts_with("cuda")) throw;
    throw std::runtime_error(
        fmt::format("--device {}: {}; --device cpu works without a GPU", device, error.what()));
  }
  if (opened.backend->kind() == DeviceKind::kCpu) {
    if (const std::string what = beyond_cpu(algorithm); !what.empty())
      throw std::runtime_error(
          fmt::format("{}, and no GPU can be used: {}", what, opened.why_no_gpu));
    if (threads > limit.processors) warn_of_fewer_threads(threads, limit);
  }
  note("device: " + opened.backend->name() +
       (device == "auto" && !opened.why_no_gpu.empty() ? ", no GPU: unroll doctor says why" : ""));
  return opened.backend;
}

}  // namespace unroll::cli
