/// unroll doctor: what this build and this machine can compute on, and why not on the rest. Nothing
/// that is missing is a failure.
#include <fmt/format.h>

#include <exception>
#include <memory>
#include <optional>

#include "host/base/module.h"
#include "host/bench/commit.h"
#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/train_ranks.h"
#include "unroll/backend.h"
#include "unroll/cpu_limits.h"
#include "unroll/cuda_report.h"
#include "unroll/version.h"

namespace unroll::cli {
namespace {

/// Which launcher started this process, and as what.
struct LaunchReport {
  std::optional<Launch> launch;
  std::string why_not;  // what its variables lack
};

LaunchReport report_launch() {
  try {
    return {launch_of_process(), ""};
  } catch (const std::exception& error) {
    return {std::nullopt, error.what()};
  }
}

struct CpuReport {
  std::string name;     // "cpu (avx512, 2 threads)"
  std::string why_not;  // what the environment asks for and this machine lacks
  MemoryLimit memory = memory_limit();
  ProcessorLimit processors = processor_limit();
};

CpuReport report_cpu() {
  try {
    return {cpu()->name(), ""};
  } catch (const std::exception& error) {
    return {"", error.what()};
  }
}

/// What --device auto takes.
struct Choice {
  std::string device;
  std::string why_no_gpu;
};

Choice choose_device() {
  const FoundGpu gpu = find_gpu();
  return {gpu.backend ? fmt::format("cuda:{}", gpu.ordinal) : "cpu", gpu.why_not};
}

std::string gigabytes(std::size_t bytes) {
  return fmt::format("{:.1f} GB", double(bytes) / 1e9);
}

std::string row(const std::string& what, const std::string& found) {
  return fmt::format("{:<15}{}\n", what, found);
}

/// `remedy`: what to do where the part is missing.
std::string part_row(const std::string& what, const CudaPart& part, const std::string& remedy) {
  return row(what, part.why_not.empty() ? part.version : part.why_not + "; " + remedy);
}

/// A module that one can do without.
struct OptionalModule {
  ModuleName name;
  const char* use;
  const char* packages;  // Debian's
};
constexpr OptionalModule kOptionalModules[] = {
    {{"oneDNN", "libunroll_onednn.so", "unroll_onednn_module", "install oneDNN"},
     "unroll bench rnn compares with it",
     "libdnnl-dev"},
    {{"LAPACK", "libunroll_lapack.so", "unroll_lapack_module", "install LAPACK"},
     "inverses and determinants, only in programs that use the library",
     "liblapack-dev"},
    {{"editing", "libunroll_editline.so", "unroll_editline_module", "install libedit"},
     "predict --interactive edits lines with it",
     "libedit-dev"}};

/// Why the module cannot be used; empty if it can.
std::string why_not(const OptionalModule& module) {
  std::string why;
  open_module(module.name, why);
  return why;
}

std::string remedy_of(const OptionalModule& module) {
  return fmt::format("to have it: apt-get install {}, then build again", module.packages);
}

constexpr const char* kModuleRemedy =
    "to have it: install NVIDIA's CUDA Toolkit, 12.0 or newer; nvcc is looked for in PATH, in "
    "/usr/local/cuda/bin and where CUDACXX says; then cmake --preset release --fresh, and build "
    "again";
constexpr const char* kDriverRemedy = "install NVIDIA's driver (Debian: nvidia-driver)";
constexpr const char* kToolkitRemedy =
    "install the libraries of that CUDA Toolkit, or name their folder in LD_LIBRARY_PATH";
constexpr const char* kCudnnRemedy =
    "only --rnn-algorithm cudnn and bench need it; to have it: apt-get install cudnn9 from "
    "NVIDIA's "
    "repository, or pip install nvidia-cudnn-cu12 and name its folder in LD_LIBRARY_PATH";

std::string device_row(std::size_t ordinal, const CudaDeviceReport& device) {
  const std::string memory = device.why_not.empty()
                                 ? fmt::format("{} of {} free", gigabytes(device.free_bytes),
                                               gigabytes(device.total_bytes))
                                 : gigabytes(device.total_bytes);
  return row(
      fmt::format("cuda:{}", ordinal),
      fmt::format("{}, compute capability {}, {}: {}", device.name, device.compute_capability,
                  memory, device.why_not.empty() ? "usable" : device.why_not));
}

std::string limit_rows(const MemoryLimit& memory, const ProcessorLimit& processors) {
  std::string bytes = "the system does not say", threads = std::to_string(processors.processors);
  if (!memory.file.empty()) bytes = gigabytes(memory.available) + " available";
  if (memory.group_bytes > 0)
    bytes += fmt::format(" of {}, the limit in {}", gigabytes(memory.group_bytes), memory.file);
  if (processors.group_share > 0)
    threads += fmt::format(": the share is {:.3g}, the limit in {}", processors.group_share,
                           processors.file);
  return row("memory", bytes) + row("processors", threads);
}

std::string launch_row(const LaunchReport& report) {
  if (!report.why_not.empty()) return row("launcher", report.why_not);
  if (!report.launch) return row("launcher", "none: one rank, or as many as --ranks says");
  const Launch& launch = *report.launch;
  return row("launcher",
             fmt::format("{}: rank {} of {}, {} on this machine, which meet at {}", launch.launcher,
                         launch.rank, launch.ranks, launch.local_rank, to_string(launch.first)));
}

std::string page(const CpuReport& host, const CudaReport& cuda, const Choice& choice) {
  std::string text = row("unroll", benchmark::version_and_commit());
  text += row("cpu", host.why_not.empty() ? host.name : host.why_not);
  text += limit_rows(host.memory, host.processors);
  if (cuda.module.why_not.empty()) {
    text += row("CUDA module", fmt::format("{}, code for {}", cuda.module.version,
                                           fmt::join(cuda.architectures, ", ")));
    text += part_row("NVIDIA driver", cuda.driver, kDriverRemedy);
    text += part_row("CUDA runtime", cuda.runtime, kToolkitRemedy);
    text += part_row("cuBLAS", cuda.cublas, kToolkitRemedy);
    text += part_row("cuDNN", cuda.cudnn, kCudnnRemedy);
    for (std::size_t ordinal = 0; ordinal < cuda.devices.size(); ++ordinal)
      text += device_row(ordinal, cuda.devices[ordinal]);
    if (cuda.devices.empty()) text += row("GPU", cuda.why_not);
  } else {
    text += row("CUDA module", cuda.module.why_not + "; " + kModuleRemedy);
  }
  for (const OptionalModule& module : kOptionalModules) {
    const std::string why = why_not(module);
    text += row(module.name.what,
                why.empty() ? fmt::format("there: {}", module.use)
                            : fmt::format("{} ({}); {}", why, module.use, remedy_of(module)));
  }
  text += launch_row(report_launch());
  return text + row("--device auto", choice.device + why_automatic(choice.why_no_gpu));
}

/// Texts that are empty are null.
Json or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

/// Null where no group of processes sets a limit.
template <typename Number>
Json limit_json(Number limit, const std::string& file) {
  return limit > 0 ? Json{{"value", limit}, {"file", file}} : Json();
}

Json to_json(const CudaPart& part) {
  return {{"version", or_null(part.version)}, {"why_not", or_null(part.why_not)}};
}

Json to_json(const LaunchReport& report) {
  Json json = {{"name", Json()}, {"why_not", or_null(report.why_not)}};
  if (!report.launch) return json;
  const Launch& launch = *report.launch;
  json["name"] = launch.launcher;
  json.update({{"rank", launch.rank},
               {"ranks", launch.ranks},
               {"local_rank", launch.local_rank},
               {"address", to_string(launch.first)}});
  return json;
}

Json modules_json() {
  Json json;
  for (const OptionalModule& module : kOptionalModules)
    json[module.name.what] = {{"why_not", or_null(why_not(module))}, {"packages", module.packages}};
  return json;
}

Json to_json(const CpuReport& host, const CudaReport& cuda, const Choice& choice) {
  Json devices = Json::array();
  for (const CudaDeviceReport& device : cuda.devices)
    devices.push_back({{"name", device.name},
                       {"compute_capability", device.compute_capability},
                       {"free_bytes", device.free_bytes},
                       {"total_bytes", device.total_bytes},
                       {"why_not", or_null(device.why_not)}});
  return {{"version", kVersion},
          {"cpu",
           {{"name", or_null(host.name)},
            {"available_bytes", host.memory.available},
            {"memory_limit", limit_json(host.memory.group_bytes, host.memory.file)},
            {"processors", host.processors.processors},
            {"processor_limit", limit_json(host.processors.group_share, host.processors.file)},
            {"why_not", or_null(host.why_not)}}},
          {"cuda",
           {{"module", to_json(cuda.module)},
            {"architectures", cuda.architectures},
            {"driver", to_json(cuda.driver)},
            {"runtime", to_json(cuda.runtime)},
            {"cublas", to_json(cuda.cublas)},
            {"cudnn", to_json(cuda.cudnn)},
            {"why_not", or_null(cuda.why_not)},
            {"devices", std::move(devices)}}},
          {"modules", modules_json()},
          {"launcher", to_json(report_launch())},
          {"auto", {{"device", choice.device}, {"why_no_gpu", or_null(choice.why_no_gpu)}}}};
}

void run_doctor(bool json) {
  const CpuReport host = report_cpu();
  const CudaReport cuda = cuda_report();
  const Choice choice = choose_device();
  if (json)
    print_json(to_json(host, cuda, choice));
  else
    print(page(host, cuda, choice));
}

}  // namespace

void add_doctor(CLI::App* command, std::function<void()>& run) {
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "One JSON object");
  command->callback([json, &run] { run = [json] { run_doctor(*json); }; });
}

}  // namespace unroll::cli
