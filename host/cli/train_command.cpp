/// unroll train: begins a run, or goes on with one.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>

#include "host/base/interrupted.h"
#include "host/cli/commands.h"
#include "host/cli/default_run.h"
#include "host/cli/help_format.h"
#include "host/cli/output.h"
#include "host/cli/rnn_algorithm.h"
#include "host/cli/setting_notes.h"
#include "host/cli/signals.h"
#include "host/cli/terminal.h"
#include "host/cli/train_flags.h"
#include "host/cli/train_output.h"
#include "host/cli/train_ranks.h"
#include "host/cli/train_start.h"
#include "host/cli/training_sample.h"
#include "host/train/run_folder.h"
#include "host/train/trainer.h"

namespace unroll::cli {
namespace {

/// Whether a text is to be drawn after each validation.
bool draws_sample(const TrainFlags& flags, const Task& task) {
  const auto* model = dynamic_cast<const LanguageModelTask*>(&task);
  if (flags.sample) return model;
  if (!model || flags.no_sample || flags.quiet || flags.json || ::isatty(STDERR_FILENO) != 1)
    return false;
  const TokenizerKind kind = model->tokenizer().kind();
  return kind == TokenizerKind::kChar || kind == TokenizerKind::kByte;
}

/// A command to copy into a shell.
std::string to_go_on(const TrainFlags& flags) {
  return "to go on: unroll train --save " +
         shell_quoted((flags.save.starts_with('-') ? "./" : "") + flags.save) + " --resume";
}

[[noreturn]] void end_interrupted(const TrainFlags& flags, const std::string& what) {
  // Another rank may have got the signal.
  throw Stopped(stop_signal() != 0 ? stop_signal() : SIGTERM, what + "; " + to_go_on(flags));
}

/// What all ranks must have alike before they read the data. A run that goes on has its settings
/// from rank 0, but for those that flags change.
Json facts_of(const TrainSettings& settings) {
  Json facts = to_json(settings);
  facts["program"] = hash_of_program();
  return facts;
}

/// A run's parts in one process.
struct Process {
  TrainRanks& ranks;
  std::optional<RunLock>& lock;  // on rank 0
  std::atomic<bool>& stop;
};

void train_and_report(const TrainFlags& flags, TrainStart& start, const Process& process) {
  auto& [ranks, lock, stop] = process;
  const TrainSettings& settings = start.settings;
  const StoredRun* const stored = start.stored();
  const DeviceFlags given = stored ? device_of_resumed(flags.device, *stored) : flags.device;
  const DeviceFlags device = ranks.device_of_rank(given);
  const RecurrentAlgorithm algorithm =
      stored ? algorithm_of_resumed(flags, settings, *stored, device.device)
             : choose_rnn_algorithm(settings.rnn_algorithm);
  const auto backend = stored ? reopen(device, algorithm, *stored) : device.open(algorithm);
  TaskRun prepared;
  ranks.first_of_machine_first(
      [&] { prepared = prepare_task(settings, source_of(flags, start, stop)); });
  ranks.require_alike({{"text", prepared.fingerprint}, {"device", kind_of_device(*backend)}},
                      /*are_flags=*/false);
  const Task& task = *prepared.task;
  report_model(task, flags.verbose);
  if (!stored && settings.task == LanguageModelTask::kName)
    note(describe_settings(settings, flags.training_text()));
  if (const auto doubt = doubtful_rate(settings)) warn(*doubt);
  const std::shared_ptr<DeviceExchange> exchange = ranks.exchange_of(*backend);

  TrainOutput output(flags, stop);
  TrainingOptions options = settings.training_options();
  options.run_dir = flags.save;
  StoredRun stored_next{.settings = settings,
                        .corpus = origin_of(flags, stored),
                        .text_fingerprint = prepared.fingerprint,
                        .device = kind_of_device(*backend),
                        .precision = given.precision,
                        .threads = given.threads,
                        .init_from = init_from(start),
                        .texts = texts_of(flags, stored)};
  if (stored) stored_next.changes = stored->changes;
  if (!start.changes.empty())
    stored_next.changes.push_back({{"step", start.checkpoint->step}, {"changes", start.changes}});
  TrainingObserver observer{
      .log = [&](const std::string& line) { output.log(line); },
      .note = [&](const std::string& line) { output.note_line(line); },
      .warn = [&](const std::string& line) { output.warn_line(line); },
      .not_improved =
          [&](std::int64_t epochs) {
            output.note_line(fmt::format(
                "validation has not improved for {} epochs; --patience ends such a run", epochs));
          }};
  TrainingSample sample(prepared.task, stop);
  if (ranks.leads()) {
    observer.progress = [&](const TrainingStatus& status) { output.progress(status, task); };
    if (draws_sample(flags, task))
      observer.validated = [&](const std::shared_ptr<VariableStore>& store) {
        try {
          for (const std::string& line : sample.draw(store)) output.note_line(line);
        } catch (const std::runtime_error& error) {  // that must not end the training
          output.warn_line(std::string("no sample: ") + error.what());
        }
      };
  }
  const TrainingRun run{.task = task,
                        .examples = prepared.examples,
                        .options = options,
                        .lock = lock ? &*lock : nullptr,
                        .description = {stored_next.corpus, stored_next.training_json(), nullptr},
                        .backend = backend,
                        .observer = observer,
                        .resume = start.checkpoint && ranks.leads() ? &*start.checkpoint : nullptr,
                        .initial = start.initial && ranks.leads() ? &*start.initial : nullptr,
                        .changes = start.changes,
                        .stop = &stop,
                        .overwrite = flags.overwrite,
                        .communicator = ranks.communicator(),
                        .exchange = exchange.get()};
  if (start.checkpoint)
    note(fmt::format("resuming {} at step {}", flags.save, start.checkpoint->step));
  if (start.initial) note("beginning with the parameters and tokens of " + init_from(start));
  for (const auto& [name, change] : start.changes.items())
    note(fmt::format("from here on: {} {}, before {}", name, change["to"].dump(),
                     change["from"].dump()));
  const TrainingResult result = [&] {
    try {
      return train(run);
    } catch (const DeviceError& error) {
      if (list_checkpoints(flags.save).empty()) throw;
      throw std::runtime_error(
          fmt::format("{}; the last checkpoint is sound, {}", error.what(), to_go_on(flags)));
    }
  }();
  ranks.finish();
  output.clear();
  if (stop_signal() == 0 && !output.failure().empty())
    throw std::runtime_error(
        fmt::format("{}; step {} is saved, {}", output.failure(), result.steps, to_go_on(flags)));
  if (result.interrupted)
    end_interrupted(flags, fmt::format("stopped at step {}, which is saved", result.steps));
  if (start.checkpoint && result.steps == start.checkpoint->step && !result.stopped_early)
    note(
        fmt::format("nothing was left to train: the run has had its {} epoch{}; a larger --epochs "
                    "goes on",
                    settings.epochs, settings.epochs == 1 ? "" : "s"));
  if (const auto line = recipe_outcome(settings.recipe, result.valid, result.test)) note(*line);
  report(flags, result, task, output);
}

void run_train(TrainFlags flags, bool resume_given) {
  set_quiet(flags.quiet);
  std::atomic<bool>& stop = catch_stop_signals();
  const std::optional<Launch> launch = launch_of_process();
  if (!launch) check_usage(flags, resume_given, std::max(1, flags.ranks));
  TrainRanks ranks(flags.ranks);
  ranks.run([&] {
    if (launch) check_usage(flags, resume_given, launch->ranks);
    std::optional<RunLock> lock;
    TrainStart start;
    RunFolder folder{flags.save};
    if (ranks.leads() && flags.save.empty())
      folder = default_run(flags.training_text(), !resume_given            ? RunWanted::kNew
                                                  : flags.resume == "auto" ? RunWanted::kNewestOrNew
                                                                           : RunWanted::kNewest);
    flags.save = ranks.from_first(folder.path);
    if (ranks.leads()) {
      lock.emplace(flags.save, folder.is_new);
      start = start_of(flags, resume_given);
    }
    const std::string of_first = ranks.from_first(to_text(start));
    if (!ranks.leads()) start = start_from(flags, of_first);
    if (!start.checkpoint) start.settings.choose_shards(ranks.count());
    start.settings.require_shards(ranks.count());
    ranks.require_alike(facts_of(start.settings), /*are_flags=*/true);
    try {
      train_and_report(flags, start, {ranks, lock, stop});
    } catch (const Interrupted&) {
      if (start.checkpoint)
        end_interrupted(flags, "stopped while reading the data; the run is as it was");
      throw Stopped(stop_signal(), "stopped while reading the data; nothing has been trained yet");
    }
  });
}

}  // namespace

void add_train(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<TrainFlags>();
  flags->add_to(*command);
  command->formatter(std::make_shared<HelpFormat>(
      terminal_columns(STDOUT_FILENO),
      [flags = flags.get()](const CLI::Option& option) { return flags->help_shows(option); }));
  command->add_flag("--help-all", flags->help_all, "Print this help with all flags and exit");
  command->callback([flags, command, &run] {
    if (flags->help_all) throw CLI::CallForHelp();
    const bool resume_given = command->get_option("--resume")->count() > 0;
    run = [flags, resume_given] { run_train(*flags, resume_given); };
  });
}

}  // namespace unroll::cli
