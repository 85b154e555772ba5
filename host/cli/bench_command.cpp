/// unroll bench: our recurrent node beside cuDNN or oneDNN, and two such measurements compared.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "host/bench/floor.h"
#include "host/bench/measure.h"
#include "host/bench/recurrent_bench.h"
#include "host/bench/report/page.h"
#include "host/bench/report/results.h"
#include "host/bench/report/summary.h"
#include "host/bench/shapes.h"
#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/signals.h"
#include "host/cli/values.h"

namespace unroll::cli {
namespace {

using benchmark::Results;
using benchmark::StackShape;

/// A CPU measures a shape whose forward pass has more operations than these only if it is named:
/// two cores need about ten seconds for all samples of such a shape.
constexpr double kMostCpuFlop = 20e9;
constexpr int kSamples = 20, kQuickSamples = 5;
const std::vector<std::string> kQuickShapes{"wlm200", "wlm650", "charrnn128"};

struct BenchFlags {
  std::string device = "auto";
  int threads = 0;
  std::optional<int> samples;
  bool quick = false;
  std::vector<std::string> shapes, cells, precisions, algorithms;
  std::string direction = "both", csv, html;
};

std::vector<StackShape> chosen_shapes(const BenchFlags& flags, DeviceKind device) {
  std::vector<StackShape> shapes;
  try {
    const bool quick = flags.quick && flags.shapes.empty();
    shapes = benchmark::choose_shapes(quick ? kQuickShapes : flags.shapes, flags.cells);
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
  if (device == DeviceKind::kCuda || !flags.shapes.empty()) return shapes;
  std::string left_out;
  std::erase_if(shapes, [&](const StackShape& shape) {
    if (benchmark::forward_flop(shape) * double(shape.steps) <= kMostCpuFlop) return false;
    left_out += (left_out.empty() ? "" : ", ") + shape.name;
    return true;
  });
  if (!left_out.empty()) note("too long for a CPU unless --shapes names them: " + left_out);
  return shapes;
}

std::vector<Precision> chosen_precisions(const BenchFlags& flags, DeviceKind device) {
  const bool on_cpu = device == DeviceKind::kCpu;
  std::vector<Precision> chosen;
  for (const std::string& name : flags.precisions) {
    chosen.push_back(choose_precision(name));
    if (on_cpu && chosen.back() == Precision::kTf32)
      throw UsageError("--precision: got tf32, expected fp32 or bf16: the CPU has no tf32");
  }
  if (!chosen.empty()) return chosen;
  if (on_cpu) return {Precision::kFp32};
  return {Precision::kFp32, Precision::kTf32, Precision::kBf16};
}

void write(const BenchFlags& flags, const Results& results) {
  if (!flags.csv.empty()) replace_file(flags.csv, benchmark::to_csv(results));
  if (!flags.html.empty()) replace_file(flags.html, benchmark::make_page(results));
}

/// Before anything is measured for them.
void check_files(const BenchFlags& flags) {
  for (const auto& [flag, file] : {std::pair("--csv", flags.csv), std::pair("--html", flags.html)})
    if (!file.empty() &&
        !std::filesystem::is_directory(std::filesystem::absolute(file).parent_path()))
      throw std::runtime_error(
          fmt::format("{}: got {}, expected a file in a folder that exists", flag, file));
}

/// That the flag leaves something to measure.
void check_algorithms(const benchmark::RecurrentBenchOptions& options) {
  const std::vector<std::string> names = benchmark::algorithm_names(options);
  const auto is_wanted = [&](const std::string& name) {
    return std::ranges::any_of(options.algorithms,
                               [&](const std::string& start) { return name.starts_with(start); });
  };
  if (options.algorithms.empty() || std::ranges::any_of(names, is_wanted)) return;
  throw UsageError(fmt::format("--algorithms: got {}, expected the beginnings of some of: {}",
                               fmt::join(options.algorithms, ", "), fmt::join(names, ", ")));
}

void run_rnn(const BenchFlags& flags) {
  const int samples = flags.samples.value_or(flags.quick ? kQuickSamples : kSamples);
  require_range("--samples", samples, 1, 1e6);
  const auto direction = choose<std::pair<bool, bool>>(
      "--direction", flags.direction,
      {{"fwd", {true, false}}, {"bwd", {false, true}}, {"both", {true, true}}});
  DeviceFlags device;
  device.device = flags.device;
  device.threads = flags.threads;
  device.check();
  check_files(flags);
  // Finds the mistakes that can be found without a device.
  static_cast<void>(chosen_shapes(flags, DeviceKind::kCuda));
  static_cast<void>(
      chosen_precisions(flags, flags.device == "cpu" ? DeviceKind::kCpu : DeviceKind::kCuda));
  const DeviceKind kind = device.open()->kind();

  benchmark::RecurrentBenchOptions options;
  options.device = kind;
  options.ordinal = device.ordinal();
  options.threads = flags.threads;
  options.shapes = chosen_shapes(flags, kind);
  options.precisions = chosen_precisions(flags, kind);
  std::tie(options.forward, options.backward) = direction;
  options.algorithms = flags.algorithms;
  options.samples = samples;
  check_algorithms(options);
  options.stop = &catch_stop_signals();
  options.progress = note;
  options.save = [&](const Results& results) { write(flags, results); };
  const auto [results, lost] = benchmark::bench_recurrent(options);

  for (const std::string& line : results.about) print("# " + line + "\n");
  print("\n" + benchmark::losses_text(results) + "\n" + benchmark::means_text(results) + "\n" +
        benchmark::table_text(results));
  write(flags, results);
  for (const std::string& file : {flags.csv, flags.html})
    if (!file.empty()) note("saved: " + file);
  if (!lost.empty()) throw std::runtime_error(lost);
  const auto fault = std::ranges::find_if(results.rows, benchmark::is_fault);
  if (fault != results.rows.end())
    throw std::runtime_error(fmt::format("{} of {} rows are faults; the first: {} {}, {} {} {}: {}",
                                         std::ranges::count_if(results.rows, benchmark::is_fault),
                                         results.rows.size(), fault->program, fault->algorithm,
                                         fault->of.shape, fault->of.precision, fault->of.pass,
                                         fault->status));
  if (stop_signal() != 0) throw Stopped(stop_signal(), "stopped; what had been measured is above");
}

/// Where the flag is given twice, the last list counts.
void add_list(CLI::App& command, const char* flag, std::vector<std::string>& value,
              const std::string& help) {
  command.add_option(flag, value, help)->trigger_on_parse();
}

void add_rnn(CLI::App& bench, std::function<void()>& run) {
  const auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = bench.add_subcommand(
      "rnn", "The recurrent node beside cuDNN on a GPU, beside oneDNN on a CPU");
  const auto list = [&](const char* flag, std::vector<std::string>& value,
                        const std::string& help) { add_list(*command, flag, value, help); };
  std::string names;
  for (const StackShape& shape : benchmark::named_shapes())
    names += (names.empty() ? "" : ", ") + shape.name;
  list("--shapes", flags->shapes,
       "Names, or T,B,I,H,L: timesteps, batch, inputs, hidden units, layers. Without: all of " +
           names);
  list(
      "--cell", flags->cells,
      fmt::format("Of named shapes those of these cells; given ones are computed with each [lstm]: "
                  "{}",
                  fmt::join(benchmark::cell_names(), ", ")));
  list("--precision", flags->precisions, "fp32, tf32, bf16 [on a GPU all, else fp32]");
  list(
      "--algorithms", flags->algorithms,
      "Those whose names begin so: stepwise, stepwise:8, persistent, cudnn, cudnn:standard, onednn "
      "[all]");
  command->add_option("--direction", flags->direction, "fwd, bwd or both")->capture_default_str();
  command->add_option("--samples", flags->samples, fmt::format("Of each algorithm [{}]", kSamples));
  command->add_flag(
      "--quick", flags->quick,
      fmt::format("A first look: {} samples of the shapes {}, unless others are given",
                  kQuickSamples, fmt::join(kQuickShapes, ", ")));
  command->add_option("--device", flags->device, "auto, cpu, cuda or cuda:N")
      ->envname("UNROLL_DEVICE")
      ->capture_default_str();
  command
      ->add_option("--threads", flags->threads,
                   "Threads on the CPU; 0: one per processor it may use")
      ->envname("UNROLL_THREADS")
      ->capture_default_str();
  command->add_option("--csv", flags->csv, "File for all numbers; written after every shape");
  command->add_option("--html", flags->html, "File for a page with charts");
  command->callback([flags, &run] { run = [flags] { run_rnn(*flags); }; });
}

void add_floor(CLI::App& bench, std::function<void()>& run) {
  const auto shapes = std::make_shared<std::vector<std::string>>();
  CLI::App* command = bench.add_subcommand(
      "floor",
      "What no schedule of the recurrent node can beat on an H100: arithmetic, no measurement");
  add_list(*command, "--shapes", *shapes, "As of rnn");
  command->callback([shapes, &run] {
    run = [shapes] {
      const std::vector<StackShape> chosen = chosen_shapes({.shapes = *shapes}, DeviceKind::kCuda);
      for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
        for (const std::string& line : benchmark::describe(benchmark::h100_rates(precision)))
          print(fmt::format("# {} on an H100: {}\n", to_string(precision), line));
      print("# " + benchmark::floors_legend() + "\n\n" + benchmark::floors_text(chosen));
    };
  });
}

void add_compare(CLI::App& bench, std::function<void()>& run) {
  const auto files = std::make_shared<std::pair<std::string, std::string>>();
  CLI::App* command =
      bench.add_subcommand("compare", "What moved beyond noise between two measurements");
  command->add_option("BEFORE", files->first, "CSV of a measurement")->required();
  command->add_option("AFTER", files->second, "CSV of another")->required();
  command->callback([files, &run] {
    run = [files] {
      const Results before = benchmark::read_csv(files->first);  // its mistakes come first
      print(benchmark::comparison_text(before, benchmark::read_csv(files->second)));
    };
  });
}

}  // namespace

void add_bench(CLI::App* command, std::function<void()>& run) {
  command->require_subcommand(1);
  add_rnn(*command, run);
  add_floor(*command, run);
  add_compare(*command, run);
}

}  // namespace unroll::cli
