/// unroll report: a training run as one HTML page, or several side by side.
#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "host/cli/commands.h"
#include "host/cli/output.h"
#include "host/cli/values.h"
#include "host/infer/generate.h"
#include "host/models/model_file.h"
#include "host/pages/comparison.h"
#include "host/pages/report.h"
#include "host/train/run_folder.h"

namespace unroll::cli {
namespace {

constexpr std::int64_t kSampleWords = 60, kSampleCharacters = 300;
constexpr std::uint64_t kSampleSeed = 1111;

struct ReportFlags {
  std::vector<std::string> runs;
  std::string output;
};

ReportSample draw_sample(const LoadedModel& model, double temperature) {
  const Tokenizer& tokenizer = task_of<LanguageModelTask>(model).tokenizer();
  const bool words = tokenizer.kind() == TokenizerKind::kWord;
  const std::int64_t tokens = words ? kSampleWords : kSampleCharacters;
  TokenStates states(model,
                     {.sampler = SamplingOptions{.temperature = temperature, .seed = kSampleSeed}});
  TokenWriter writer(tokenizer);
  ReportSample sample{temperature, ""};
  const std::vector<std::int32_t> nothing;
  generate(states, std::span(&nothing, 1), tokens, [&](std::int64_t, std::int32_t token) {
    sample.text += writer.next(token);
    return true;
  });
  return sample;
}

ReportModel describe_best(const std::filesystem::path& run) {
  const Checkpoint checkpoint = load_checkpoint(run, {.damaged = warn, .most_bytes = most_bytes});
  const LoadedModel model = model_from(checkpoint, cpu(0));
  ReportModel report{model.task, checkpoint.config};
  if (model.task->name() == LanguageModelTask::kName)
    for (const double temperature : {0.5, 0.8, 1.0})
      report.samples.push_back(draw_sample(model, temperature));
  return report;
}

RunHistory history_of(const std::filesystem::path& run) {
  const std::filesystem::path metrics = run / MetricsLog::kName;
  if (!std::filesystem::exists(metrics))
    throw std::runtime_error(metrics.string() + ": not found, expected the metrics of a run");
  return read_run_history(metrics);
}

/// The folder's own name, for "runs/ptb/" and "." too.
std::string name_of_run(const std::filesystem::path& run) {
  return (std::filesystem::canonical(run) / "").parent_path().filename().string();
}

void compare_runs(const ReportFlags& flags) {
  if (flags.runs.size() > kMostCompared)
    throw UsageError(
        fmt::format("RUN: got {} runs, expected at most {}", flags.runs.size(), kMostCompared));
  std::vector<ComparedRun> runs;
  for (const std::string& run : flags.runs) {
    const RunHistory history = history_of(run);
    ComparedRun compared{name_of_run(run), history};
    if (!list_checkpoints(run).empty())
      compared.config = load_checkpoint(run, {.damaged = warn, .most_bytes = most_bytes}).config;
    runs.push_back(std::move(compared));
  }
  const std::filesystem::path output = flags.output.empty() ? "comparison.html" : flags.output;
  replace_file(output, make_comparison(runs));
  note("saved: " + output.string());
}

void run_report(const ReportFlags& flags) {
  if (flags.runs.size() > 1) return compare_runs(flags);
  const std::filesystem::path run = flags.runs.front();
  ReportData data;
  data.history = history_of(run);
  data.name = name_of_run(run);
  if (!list_checkpoints(run).empty()) data.model = describe_best(run);
  const std::filesystem::path output =
      flags.output.empty() ? run / "report.html" : std::filesystem::path(flags.output);
  replace_file(output, make_report(data));
  note("saved: " + output.string());
}

}  // namespace

void add_report(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<ReportFlags>();
  command
      ->add_option("RUN", flags->runs,
                   "Run folders; of several, the page compares curves and settings")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--output", flags->output,
                      "The page [report.html in the run folder; of several runs, comparison.html]");
  command->callback([flags, &run] { run = [flags] { run_report(*flags); }; });
}

}  // namespace unroll::cli
