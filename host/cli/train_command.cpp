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
#include "host/cli/device_flags.h"
#include "host/cli/help_format.h"
#include "host/cli/initial_model.h"
#include "host/cli/output.h"
#include "host/cli/progress_line.h"
#include "host/cli/rnn_algorithm.h"
#include "host/cli/setting_notes.h"
#include "host/cli/signals.h"
#include "host/cli/stored_run.h"
#include "host/cli/task_run.h"
#include "host/cli/terminal.h"
#include "host/cli/tokenizer_input.h"
#include "host/cli/train_ranks.h"
#include "host/cli/train_setting_flags.h"
#include "host/cli/training_sample.h"
#include "host/cli/values.h"
#include "host/train/run_folder.h"
#include "host/train/trainer.h"
#include "host/train/training_lines.h"

namespace unroll::cli {
namespace {

struct TrainFlags {
  std::string data, train, valid, test, save, resume, init_from, cache_dir, config;
  bool overwrite = false, json = false, quiet = false, verbose = false, sample = false;
  bool no_sample = false, help_all = false;
  int ranks = 0;
  std::vector<const CLI::Option*> rare;  // only --help-all shows them
  TrainSettingFlags settings;
  DeviceFlags device;

  void add_to(CLI::App& command);
  /// The training text or the folder of texts; empty: the built-in one.
  const std::string& training_text() const { return train.empty() ? data : train; }
  bool help_shows(const CLI::Option& option) const {
    return settings.help_shows(option, help_all) &&
           (help_all || std::ranges::find(rare, &option) == rare.end());
  }
};

void TrainFlags::add_to(CLI::App& command) {
  CLI::Option* folder =
      command
          .add_option(
              "--data", data,
              "Folder with train.txt, valid.txt and test.txt, or one file; without it, a "
              "built-in grammar. With --task classify, a folder with train.tsv, valid.tsv and "
              "test.tsv; with --task tag, a folder with train.conllu, dev.conllu and "
              "test.conllu, or the same as .tsv; with --task series, a CSV file")
          ->group("Text");
  CLI::Option* training =
      command.add_option("--train", train, "In place of --data: a file of text")
          ->excludes(folder)
          ->group("Text");
  CLI::Option* validation =
      command.add_option("--valid", valid, "With --train: the validation text")
          ->needs(training)
          ->group("Text");
  training->needs(validation);
  command.add_option("--test", test, "With --train: the test text, which may be left out")
      ->needs(training)
      ->group("Text");
  command
      .add_option(
          "--cache-dir", cache_dir,
          "Folder for texts as token ids, with --task language_model [$XDG_CACHE_HOME/unroll or "
          "~/.cache/unroll]")
      ->group("Text");
  settings.add_to(command);
  command
      .add_option("--save", save,
                  "Folder of the run: checkpoints and metrics.jsonl [a new one: runs/NAME-1, -2, "
                  "..., named after the data]")
      ->group("Run");
  command.add_flag("--overwrite", overwrite, "A run that is in --save gives way to this one")
      ->group("Run");
  command
      .add_option("--resume", resume,
                  "Go on with the run in --save, or the newest in runs/, from its last checkpoint "
                  "and with its settings; auto: begin one if there is none")
      ->expected(0, 1)
      ->default_str("")
      ->group("Run");
  command
      .add_option("--init-from", init_from,
                  "Run folder (its best) or one checkpoint of a language model: begin with its "
                  "parameters and its tokens. What the model is follows from it, and all else "
                  "begins anew")
      ->group("Run");
  command
      .add_option(
          "--ranks", ranks,
          "Processes that train together: this one starts the others on this machine; 0: as "
          "many as mpirun, srun or torchrun has started")
      ->group("Device")
      ->capture_default_str();
  command.add_option("--config", config, "File of flags in TOML: lr = 0.5; flags given here count")
      ->group("Run");
  command.add_flag("--json", json, "One JSON object on stdout, the lines on stderr")->group("Run");
  const auto add_flag = [&](const char* name, bool& value, const char* help) {
    command.add_flag(name, value, help)->group("Run");
  };
  add_flag("--sample", sample,
           "A text that the model draws, after each validation [on a terminal, for characters and "
           "bytes]");
  add_flag("--no-sample", no_sample, "None");
  add_flag("--verbose", verbose, "The shape of every parameter");
  add_flag("--quiet", quiet, "Only warnings, errors and the result");
  device.add_to(command);
  for (const char* name : {"--cache-dir", "--train", "--valid", "--test", "--json", "--no-sample",
                           "--verbose", "--ranks", "--precision", "--threads"})
    rare.push_back(command.get_option(name));
}

/// The lines of a run, kept apart from the progress line at the bottom of the terminal. If the log
/// cannot be written, the run is asked to save itself and end.
class Output {
 public:
  Output(const TrainFlags& flags, std::atomic<bool>& stop)
      : json_(flags.json), quiet_(flags.quiet), stop_(stop), progress_(flags.quiet) {}

  void log(const std::string& line) {
    if (!quiet_) result(line);
  }
  /// A line that is not left out.
  void result(const std::string& line) {
    progress_.clear();
    if (json_) return note(line);
    try {
      print(line + "\n");
    } catch (const Stopped&) {
      fail("stdout cannot be written: it has no reader any more");
    } catch (const std::runtime_error& error) {
      fail(error.what());
    }
  }
  void note_line(const std::string& line) {
    progress_.clear();
    note(line);
  }
  void warn_line(const std::string& line) {
    progress_.clear();
    warn(line);
  }
  void progress(const TrainingStatus& status, const Task& task) { progress_.update(status, task); }
  void clear() { progress_.clear(); }

  /// Why the log could not be written; empty if it could.
  const std::string& failure() const { return failure_; }

 private:
  void fail(const std::string& why) {
    failure_ = why;
    stop_ = true;
  }

  bool json_, quiet_;
  std::atomic<bool>& stop_;
  std::string failure_;
  ProgressLine progress_;
};

void report_model(const Task& task, bool verbose) {
  note("model: " + task.describe());
  if (verbose)
    for (const VariableInfo& info : task.parameters())
      note(fmt::format("  {:<24} {:>15} {:>13}", info.name, to_string(info.type.shape),
                       info.type.shape.elements()));
  // By the part of the model, in its order: encoder, rnn, decoder.
  std::vector<std::pair<std::string, std::int64_t>> parts;
  for (const VariableInfo& info : task.parameters()) {
    const std::string part = info.name.substr(0, info.name.find('.'));
    if (parts.empty() || parts.back().first != part) parts.emplace_back(part, 0);
    parts.back().second += info.type.shape.elements();
  }
  std::string sum;
  for (const auto& [part, count] : parts)
    sum += fmt::format("{}{} {}", sum.empty() ? "" : " + ", part, count);
  note(fmt::format("parameters: {} = {}", sum, parameter_count(task)));
}

/// Whether a text is to be drawn after each validation.
bool draws_sample(const TrainFlags& flags, const Task& task) {
  const auto* model = dynamic_cast<const LanguageModelTask*>(&task);
  if (flags.sample) return model;
  if (!model || flags.no_sample || flags.quiet || flags.json || ::isatty(STDERR_FILENO) != 1)
    return false;
  const TokenizerKind kind = model->tokenizer().kind();
  return kind == TokenizerKind::kChar || kind == TokenizerKind::kByte;
}

/// The name of the data in a checkpoint.
std::string origin_of(const TrainFlags& flags, const StoredRun* stored) {
  const std::string& given = flags.train.empty() ? flags.data : flags.train;
  if (!given.empty()) return std::filesystem::absolute(given).string();
  return stored ? stored->corpus : kBuiltInCorpus;
}

/// A run about to begin or to go on.
struct Start {
  TrainSettings settings;
  std::optional<Checkpoint> checkpoint = {};  // to go on from
  std::optional<StoredRun> run = {};          // what it says
  std::optional<Checkpoint> initial = {};     // whose parameters and tokens a new run begins with
  nlohmann::ordered_json changes = {};        // of the settings of one that goes on

  const StoredRun* stored() const { return run ? &*run : nullptr; }
};

/// The checkpoint whose parameters the run begins with, or began with.
std::string init_from(const Start& start) {
  if (start.initial) return start.initial->directory.string();
  return start.run ? start.run->init_from : "";
}

/// The tokenizer of the model that the run begins with, or whose file the settings name. A run that
/// goes on has it in its checkpoint.
std::optional<Tokenizer> given_tokenizer(const Start& start) {
  if (!init_from(start).empty())
    return InitialModel(start.initial ? *start.initial : *start.checkpoint).task->tokenizer();
  const std::string file = choose_tokenizer(start.settings.tokenizer).file;
  if (file.empty()) return std::nullopt;
  if (!start.checkpoint) return read_tokenizer_file(TokenizerKind::kBpe, file);
  const auto kept = start.checkpoint->files.find("tokenizer.json");
  const std::string name = (start.checkpoint->directory / "tokenizer.json").string();
  if (kept == start.checkpoint->files.end())
    throw std::runtime_error(name + ": is missing, expected the tokenizer of the run");
  return Tokenizer::parse(TokenizerKind::kBpe, kept->second, name);
}

/// The files of --train, --valid and --test, or those that the run was begun with.
std::vector<std::string> texts_of(const TrainFlags& flags, const StoredRun* stored) {
  if (!flags.data.empty()) return {};
  if (flags.train.empty()) return stored ? stored->texts : std::vector<std::string>();
  std::vector<std::string> texts;
  for (const std::string& file : {flags.train, flags.valid, flags.test})
    if (!file.empty()) texts.push_back(std::filesystem::absolute(file).string());
  return texts;
}

/// The data of the run, which for a resumed one must be those that it was begun with.
DataSource source_of(const TrainFlags& flags, const Start& start, const std::atomic<bool>& stop) {
  const StoredRun* const stored = start.stored();
  const std::string origin = origin_of(flags, stored);
  const std::vector<std::string> texts = texts_of(flags, stored);
  return {.path = flags.data.empty() && origin != kBuiltInCorpus ? origin : flags.data,
          .files = {texts.begin(), texts.end()},
          .cache_dir = flags.cache_dir,
          .fingerprint = stored ? stored->text_fingerprint : "",
          .stop = &stop,
          .tokenizer = given_tokenizer(start)};
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

/// A resumed run keeps to the device that it was computed on last, and to its threads, unless
/// others are asked for, and always to its precision.
DeviceFlags device_of_resumed(const DeviceFlags& given, const StoredRun& stored) {
  if (given.precision_given() && given.precision != stored.precision)
    throw UsageError(fmt::format(
        "--precision: got {}, expected {}: the run was begun with it, and a resumed run keeps it",
        given.precision, stored.precision));
  DeviceFlags flags = given;
  flags.precision = stored.precision;
  if (flags.device == "auto") flags.device = stored.was_on_cpu() ? "cpu" : "cuda";
  if (!flags.threads_given()) flags.threads = stored.threads;
  return flags;
}

/// The rule for the RNN algorithm of a resumed run. The flag comes first. Without it, the CPU
/// has only one algorithm, a GPU keeps the one that a GPU used last, and a run that comes from the
/// CPU takes its setting. A new run always takes its setting: flag, recipe or "auto".
RecurrentAlgorithm algorithm_of_resumed(const TrainFlags& flags, const TrainSettings& settings,
                                        const StoredRun& stored, const std::string& device) {
  const auto before = stored.was_on_cpu() ? std::nullopt : stored.algorithm;
  const RecurrentAlgorithm setting = choose_rnn_algorithm(settings.rnn_algorithm);
  if (flags.settings.gives_rnn_algorithm()) {
    if (before && setting != *before)
      warn(fmt::format("the run was computed by {}: by {} its results will differ by rounding",
                       to_string(*before), to_string(setting)));
    return setting;
  }
  if (device == "cpu") return {};
  return before.value_or(setting);
}

/// `flags`: as device_of_resumed() made them.
std::shared_ptr<Backend> reopen(DeviceFlags flags, const RecurrentAlgorithm& algorithm,
                                const StoredRun& stored) {
  if (flags.device == "cpu" && flags.precision == to_string(Precision::kTf32))
    flags.precision = to_string(Precision::kFp32);  // the CPU has no tf32
  auto backend = flags.open(algorithm);
  if (const std::string now = kind_of_device(*backend); now != stored.device)
    warn(fmt::format("the run was begun on {}: on {} its results will differ by rounding",
                     stored.device, now));
  return backend;
}

/// Adds "valid_loss" and the task's measures.
void add_measures(Json& json, const std::string& split, const Task& task,
                  const Evaluation& evaluation) {
  json[split + "_loss"] = evaluation.loss();
  for (const Measure& measure : task.measures(evaluation))
    json[split + "_" + measure.name] = measure.value;
}

void report(const TrainFlags& flags, const TrainingResult& result, const Task& task,
            Output& output) {
  if (flags.quiet && !flags.json) {
    const bool tested = result.test.count > 0;
    const Evaluation& last = tested ? result.test : result.valid;
    output.result(last_line(tested ? "test" : "valid", {last.loss(), task.measures(last)}));
  }
  if (result.stopped_early)
    note(fmt::format("stopped in epoch {}: no better validation for as long as --patience says",
                     result.epoch));
  const std::string saved = "saved: " + result.checkpoint.string();
  flags.quiet && !flags.json ? output.result(saved) : note(saved);
  if (!flags.json) return;
  Json json;
  add_measures(json, "valid", task, result.valid);
  if (result.test.count > 0) add_measures(json, "test", task, result.test);
  json.update({{"best_epoch", result.best_epoch},
               {"steps", result.steps},
               {"skipped_steps", result.skipped},
               {"parameters", parameter_count(task)},
               {"seconds", result.seconds},
               {"checkpoint", result.checkpoint.string()}});
  print_json(json);
}

void check_text_flags(const TrainFlags& flags, const TrainSettings& settings) {
  if (settings.task == LanguageModelTask::kName) return;
  if (!flags.cache_dir.empty())
    throw UsageError(
        fmt::format("--cache-dir: got --task {}, expected --task {}: no other has a cache",
                    settings.task, LanguageModelTask::kName));
  if (!flags.train.empty())
    throw UsageError(fmt::format("--train: got --task {}, expected --task {}: others have --data",
                                 settings.task, LanguageModelTask::kName));
}

/// Mistakes on the command line come before side effects.
void check_usage(const TrainFlags& flags, bool resume_given, int ranks) {
  flags.device.check();
  if (!flags.resume.empty() && flags.resume != "auto")
    throw UsageError("--resume: got '" + flags.resume +
                     "', expected nothing or auto; which run it is, --save says");
  if (flags.quiet && flags.verbose)
    throw UsageError("--quiet: got --verbose, expected one of them");
  if (flags.sample && flags.no_sample)
    throw UsageError("--sample: got --no-sample, expected one of them");
  if (flags.overwrite && resume_given)
    throw UsageError("--overwrite: got --resume, expected one of them");
  if (flags.overwrite && flags.save.empty())
    throw UsageError("--overwrite: got no --save, expected the folder of the run that gives way");
  if (resume_given && flags.resume.empty() && !flags.init_from.empty())
    throw UsageError("--init-from: got one with --resume, expected it where a run begins");
  // The run has its own settings, or follows a model.
  if ((resume_given && flags.resume.empty()) || !flags.init_from.empty()) return;
  TrainSettings settings = flags.settings.settings(flags.training_text());
  settings.check();
  settings.choose_shards(ranks);
  settings.require_shards(ranks);
  require_data(settings, flags.data);
  check_text_flags(flags, settings);
  if (flags.sample && settings.task != LanguageModelTask::kName)
    throw UsageError(fmt::format("--sample: got --task {}, expected {}: no other draws texts",
                                 settings.task, LanguageModelTask::kName));
  flags.device.check(choose_rnn_algorithm(settings.rnn_algorithm));
}

/// What other ranks need of the checkpoint that rank 0 goes on from, apart from its tensors, which
/// training shares.
std::string to_text(const Start& start) {
  if (!start.checkpoint && !start.initial) return "";
  const Checkpoint& c = start.checkpoint ? *start.checkpoint : *start.initial;
  Json json = {{"goes_on", start.checkpoint.has_value()},
               {"directory", c.directory.string()},
               {"step", c.step},
               {"config", c.config},
               {"files", c.files}};
  if (c.vocabulary) json["vocabulary"] = *c.vocabulary;
  return json.dump();
}

/// The run that a checkpoint's configuration describes, with the settings that flags change.
Start go_on_from(const TrainFlags& flags, Checkpoint checkpoint) {
  StoredRun run = StoredRun::from(
      JsonObject(checkpoint.config, (checkpoint.directory / "config.json").string()));
  const TrainSettings settings = flags.settings.settings_of_resumed(run.settings, flags.save);
  settings.check();
  check_text_flags(flags, settings);
  nlohmann::ordered_json changed = changes(run.settings, settings);
  return {.settings = settings,
          .checkpoint = std::move(checkpoint),
          .run = std::move(run),
          .changes = std::move(changed)};
}

/// A new run with a model's parameters.
Start begin_with(const TrainFlags& flags, Checkpoint checkpoint) {
  const TrainSettings settings =
      flags.settings.settings_of_model(InitialModel(checkpoint), flags.training_text());
  settings.check();
  check_text_flags(flags, settings);
  flags.device.check(choose_rnn_algorithm(settings.rnn_algorithm));
  return {.settings = settings, .initial = std::move(checkpoint)};
}

/// A new run.
Start begin(const TrainFlags& flags) {
  if (flags.init_from.empty()) return {flags.settings.settings(flags.training_text())};
  return begin_with(flags,
                    load_checkpoint(flags.init_from, {.damaged = warn, .most_bytes = most_bytes}));
}

/// The start of a rank that reads no checkpoint: what to_text() of rank 0 says.
Start start_from(const TrainFlags& flags, const std::string& text) {
  if (text.empty()) return {flags.settings.settings(flags.training_text())};
  const nlohmann::json json = nlohmann::json::parse(text);
  Checkpoint checkpoint;
  checkpoint.directory = json.at("directory").get<std::string>();
  checkpoint.step = json.at("step");
  checkpoint.config = json.at("config");
  checkpoint.files = json.at("files").get<std::map<std::string, std::string>>();
  if (json.contains("vocabulary")) checkpoint.vocabulary = json.at("vocabulary");
  return (json.at("goes_on").get<bool>() ? go_on_from : begin_with)(flags, std::move(checkpoint));
}

/// Needs the lock of the folder.
Start start_of(const TrainFlags& flags, bool resume_given) {
  const bool begun = !list_checkpoints(flags.save).empty();
  if (!resume_given || (flags.resume == "auto" && !begun)) {
    if (holds_run(flags.save) && !flags.overwrite)
      throw std::runtime_error("--save: " + flags.save +
                               " already holds a run; --resume goes on with it, --overwrite "
                               "replaces it, another folder begins a new one");
    return begin(flags);
  }
  if (!begun)
    throw std::runtime_error("--resume: " + flags.save +
                             " holds no checkpoint, expected a run to go on with");
  Checkpoint checkpoint = load_checkpoint(
      flags.save, {.latest = true, .state = true, .damaged = warn, .most_bytes = most_bytes});
  if (!checkpoint.state)
    throw std::runtime_error(checkpoint.directory.string() +
                             ": holds a model without the state of its training, expected both to "
                             "go on from");
  return go_on_from(flags, std::move(checkpoint));
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

void train_and_report(const TrainFlags& flags, Start& start, const Process& process) {
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

  Output output(flags, stop);
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
    Start start;
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
