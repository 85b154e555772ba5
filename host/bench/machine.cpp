#include "host/bench/machine.h"

#include <fmt/format.h>

#include <ctime>
#include <fstream>

#include "host/bench/commit.h"
#include "host/bench/onednn_module.h"
#include "unroll/cuda_report.h"
#include "unroll/version.h"

namespace unroll::benchmark {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

std::string part(const char* name, const CudaPart& part) {
  return fmt::format("{} {}", name, part.why_not.empty() ? part.version : part.why_not);
}

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

}  // namespace

std::vector<std::string> describe_machine(DeviceKind device, int ordinal, int threads) {
  std::vector<std::string> lines{
      fmt::format("unroll {}, commit {}, {}", kVersion, commit_of_build(), now())};
  if (device == DeviceKind::kCpu) {
    lines.push_back(fmt::format("device: {}, {}", processor_name(), cpu(threads)->name()));
    std::string why;
    const auto version = onednn_version(&why);
    lines.push_back("oneDNN: " + (version ? *version : why));
    return lines;
  }
  const CudaReport cuda = cuda_report();
  const CudaDeviceReport& gpu = cuda.devices.at(std::size_t(ordinal));
  lines.push_back(fmt::format("device: {}, compute capability {}, {:.0f} GB{}", gpu.name,
                              gpu.compute_capability, double(gpu.total_bytes) / 1e9,
                              gpu.clocks.empty() ? "" : "; " + gpu.clocks));
  lines.push_back(fmt::format("{}; {}; {}; {}; host: {}", part("driver", cuda.driver),
                              part("CUDA", cuda.runtime), part("cuBLAS", cuda.cublas),
                              part("cuDNN", cuda.cudnn), processor_name()));
  return lines;
}

}  // namespace unroll::benchmark
