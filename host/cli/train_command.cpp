/// unroll train: begins a run, or goes on with one.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "host/base/interrupted.h"
#include "host/cli/command_line.h"
#include "host/cli/commands.h"
#include "host/cli/progress_line.h"
#include "host/cli/signals.h"
#include "host/cli/terminal.h"
#include "host/cli/train_settings.h"
#include "host/train/run_folder.h"
#include "host/train/trainer.h"

namespace unroll::cli {
namespace {

struct TrainFlags {
  std::string data, save = "runs/model", resume, cache_dir;
  bool json = false;
  TrainSettingFlags settings;
  DeviceFlags device;

  void add_to(CLI::App& command);
};

void TrainFlags::add_to(CLI::App& command) {
  command
      .add_option("--data", data,
                  "Folder with train.txt, valid.txt and test.txt, or one file; without it, a "
                  "built-in grammar")
      ->group("Text");
  command
      .add_option("--cache-dir", cache_dir,
                  "Folder for texts as token ids [$XDG_CACHE_HOME/unroll or ~/.cache/unroll]")
      ->group("Text");
  settings.add_to(command);
  command.add_option("--save", save, "Folder of the run: checkpoints and metrics.jsonl")
      ->group("Run")
      ->capture_default_str();
  command
      .add_option("--resume", resume,
                  "Go on with the run in --save, from its last checkpoint and with its settings; "
                  "auto: begin one if there is none")
      ->expected(0, 1)
      ->default_str("")
      ->group("Run");
  command.add_flag("--json", json, "One JSON object on stdout, the lines on stderr")->group("Run");
  device.add_to(command);
}

/// Lines, and the one at the bottom that they must not be written into. A log that cannot be
/// written asks for the end of the run, which is then saved.
class Output {
 public:
  Output(bool json, std::atomic<bool>& stop) : json_(json), stop_(stop) {}

  void log(const std::string& line) {
    progress_.clear();
    if (json_) return note(line);
    try {
      print(line + "\n");
    } catch (const Stopped&) {
      fail("stdout cannot be written: nobody reads it any more");
    } catch (const std::runtime_error& error) {
      fail(error.what());
    }
  }
  void note_line(const std::string& line) {
    progress_.clear();
    note(line);
  }
  void progress(const TrainingStatus& status, std::int64_t epochs) {
    progress_.update(status, epochs);
  }
  void clear() { progress_.clear(); }

  /// Why the log could not be written; empty if it could.
  const std::string& failure() const { return failure_; }

 private:
  void fail(const std::string& why) {
    failure_ = why;
    stop_ = true;
  }

  bool json_;
  std::atomic<bool>& stop_;
  std::string failure_;
  ProgressLine progress_;
};

/// What the text is like, before hours are spent on it.
void report_corpus(const LanguageCorpus& corpus) {
  note(fmt::format("corpus: {}, {} {} types", corpus.name, corpus.tokenizer.size(),
                   to_string(corpus.tokenizer.kind())));
  note(fmt::format("  {:<6} {:>13} {:>11} {:>9} {:>9} {:>11} {:>9}", "split", "tokens", "lines",
                   "empty", "types", "unknown", "longest"));
  const auto row = [](const char* name, const TextStatistics& s) {
    if (s.tokens == 0) return;
    note(fmt::format("  {:<6} {:>13} {:>11} {:>9} {:>9} {:>9.3f} % {:>9}", name, s.tokens, s.lines,
                     s.empty_lines, s.types, 100 * double(s.unknown) / double(s.tokens),
                     s.longest_line));
    if (s.crlf_lines > 0) note(fmt::format("  {:<6} {} lines end in CR LF", name, s.crlf_lines));
  };
  if (corpus.streams.streams > 0) {  // of pieces of lines there is less to say
    row("text", corpus.streams.text);
    note(fmt::format("  {:<6} {:>13}", "train", corpus.train.statistics.tokens));
    note(fmt::format("  {:<6} {:>13}", "valid", corpus.valid.statistics.tokens));
    return;
  }
  row("train", corpus.train.statistics);
  row("valid", corpus.valid.statistics);
  row("test", corpus.test.statistics);
}

void report_model(const LanguageModelConfig& config) {
  note(fmt::format("model: {}, embedding {}, layers of {} units{}", to_string(config.cell),
                   config.embedding, fmt::join(config.hidden, ", "), config.tied ? ", tied" : ""));
  for (const VariableInfo& info : parameters(config))
    note(fmt::format("  {:<20} {:>15} {:>13}", info.name, to_string(info.type.shape),
                     info.type.shape.elements()));
  note(fmt::format("  {:<20} {:>15} {:>13}", "parameters", "", parameter_count(config)));
}

/// What a checkpoint calls the text.
std::string origin_of(const TrainFlags& flags, const nlohmann::json* stored) {
  if (!flags.data.empty()) return std::filesystem::absolute(flags.data).string();
  return stored ? JsonObject(*stored, "config.json").string("corpus") : kBuiltInCorpus;
}

/// The text of the run, which for a resumed one must be the text that it was begun with.
LanguageCorpus read_corpus(const TrainFlags& flags, const TrainSettings& settings,
                           const nlohmann::json* stored, const std::atomic<bool>& stop) {
  CorpusOptions options = settings.corpus_options();
  options.path = flags.data;
  if (const std::string origin = origin_of(flags, stored);
      flags.data.empty() && origin != kBuiltInCorpus)
    options.path = origin;
  options.cache_dir = flags.cache_dir;
  options.stop = &stop;
  options.note = warn;
  if (stored)
    options.fingerprint =
        JsonObject(*stored, "config.json").object("training").string("text_fingerprint");
  return read_language_corpus(options);
}

/// To be copied into a shell.
std::string to_go_on(const TrainFlags& flags) {
  return "to go on: unroll train --save " +
         shell_quoted((flags.save.starts_with('-') ? "./" : "") + flags.save) + " --resume";
}

[[noreturn]] void end_interrupted(const TrainFlags& flags, const std::string& what) {
  throw Stopped(stop_signal(), what + "; " + to_go_on(flags));
}

/// What decides how results are rounded: "cpu (avx512)", "cuda (NVIDIA H200) in bf16". The number
/// of threads does not, nor which of several equal GPUs it is.
std::string kind_of_device(const Backend& backend) {
  const std::string name = backend.name();
  const std::size_t model = name.find('(');
  return fmt::format(
      "{} ({}){}", backend.kind() == DeviceKind::kCpu ? "cpu" : "cuda",
      name.substr(model + 1, name.find_first_of(",)", model) - model - 1),
      backend.precision() == Precision::kFp32 ? "" : " in " + to_string(backend.precision()));
}

nlohmann::json described_training(const TrainSettings& settings, const LanguageCorpus& corpus,
                                  const Backend& backend, const DeviceFlags& device) {
  nlohmann::json json = to_json(settings);
  json["text_fingerprint"] = corpus.fingerprint;
  json["device"] = kind_of_device(backend);
  json["precision"] = device.precision;
  json["threads"] = device.threads;
  return json;
}

/// A resumed run keeps to the device that it was computed on last and to the algorithm, unless
/// others are asked for, and to its precision; but the CPU has only one of both. Sets `flags` to
/// what the run has from now on.
std::shared_ptr<Backend> reopen_device(DeviceFlags& flags, const nlohmann::json& stored,
                                       bool algorithm_given) {
  const JsonObject training = JsonObject(stored, "config.json").object("training");
  const std::string last = training.string("device");
  const bool was_cpu = last.starts_with("cpu");
  const std::string precision =
      training.has("precision") ? training.string("precision") : to_string(Precision::kFp32);
  if (flags.precision_given() && flags.precision != precision)
    throw UsageError(fmt::format(
        "--precision: got {}, expected {}: the run was begun with it, and a resumed run keeps it",
        flags.precision, precision));
  flags.precision = precision;
  if (flags.device == "auto") flags.device = was_cpu ? "cpu" : "cuda";
  if (!flags.threads_given()) flags.threads = int(training.integer("threads", 0, 4096));
  if (!was_cpu && training.has("recurrent_algorithm")) {
    const std::string algorithm = training.string("recurrent_algorithm");
    if (!algorithm_given) {
      flags.rnn_algorithm = algorithm;
    } else if (flags.rnn_algorithm != algorithm) {
      warn(fmt::format("the run was computed by {}: by {} its results will differ by rounding",
                       algorithm, flags.rnn_algorithm));
    }
  }

  DeviceFlags opened = flags;
  if (flags.device == "cpu") {
    opened.precision = to_string(Precision::kFp32);
    if (!algorithm_given) opened.rnn_algorithm = "auto";
  }
  auto backend = opened.open();
  if (const std::string now = kind_of_device(*backend); now != last)
    warn(fmt::format("the run was begun on {}: on {} its results will differ by rounding", last,
                     now));
  return backend;
}

void report(const TrainFlags& flags, const TrainingResult& result,
            const LanguageModelConfig& config) {
  if (result.stopped_early)
    note(fmt::format("stopped in epoch {}: no better validation for as long as --patience says",
                     result.epoch));
  note("saved: " + result.checkpoint.string());
  if (!flags.json) return;
  Json json = {{"valid_loss", result.valid.loss()}, {"valid_ppl", result.valid.perplexity()}};
  if (result.test.tokens > 0)
    json.update({{"test_loss", result.test.loss()}, {"test_ppl", result.test.perplexity()}});
  json.update({{"best_epoch", result.best_epoch},
               {"steps", result.steps},
               {"skipped_steps", result.skipped},
               {"parameters", parameter_count(config)},
               {"seconds", result.seconds},
               {"checkpoint", result.checkpoint.string()}});
  print_json(json);
}

/// A run about to begin or to go on.
struct Start {
  TrainSettings settings;
  std::optional<Checkpoint> checkpoint;  // to go on from

  const nlohmann::json* stored() const { return checkpoint ? &checkpoint->config : nullptr; }
};

/// Mistakes on the command line come before side effects.
void check_usage(const TrainFlags& flags, bool resume_given) {
  DeviceFlags device = flags.device;
  device.check();
  if (!flags.resume.empty() && flags.resume != "auto")
    throw UsageError("--resume: got '" + flags.resume +
                     "', expected nothing or auto; which run it is, --save says");
  if (resume_given && flags.resume.empty()) return;  // the run has its own settings
  const TrainSettings settings = flags.settings.settings(flags.data.empty());
  settings.check();
  device.rnn_algorithm = settings.rnn_algorithm;
  device.check();
}

/// The settings that a run was begun with, found to be those of its model.
TrainSettings settings_of(const Checkpoint& checkpoint) {
  const std::string where = (checkpoint.directory / "config.json").string();
  const JsonObject config(checkpoint.config, where);
  const LanguageModelConfig model = model_from_json(config.object("model"));
  const TrainSettings settings = settings_from(config.object("training"));
  LanguageModelConfig trained;
  try {
    settings.check();
    trained = settings.model_config();
  } catch (const UsageError& error) {  // which is not the command line's
    throw std::runtime_error(fmt::format("{}: training: {}", where, error.what()));
  }
  trained.vocabulary = model.vocabulary;  // the text's
  if (model_to_json(trained) != model_to_json(model))
    throw std::runtime_error(where + ": training: got another model than that of model");
  return settings;
}

/// For whoever holds the lock of the folder.
Start start_of(const TrainFlags& flags, bool resume_given) {
  const bool begun = !list_checkpoints(flags.save).empty();
  if (!resume_given || (flags.resume == "auto" && !begun)) {
    std::error_code none;
    const std::filesystem::path metrics = std::filesystem::path(flags.save) / MetricsLog::kName;
    if (begun || (std::filesystem::exists(metrics, none) && !is_empty(metrics, none)))
      throw std::runtime_error("--save: " + flags.save +
                               " already holds a run; --resume goes on with it, another folder "
                               "begins a new one");
    return {flags.settings.settings(flags.data.empty()), std::nullopt};
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
  const TrainSettings settings =
      flags.settings.settings_of_resumed(settings_of(checkpoint), flags.save);
  settings.check();
  return {settings, std::move(checkpoint)};
}

void train_and_report(const TrainFlags& flags, Start& start, RunLock& lock,
                      std::atomic<bool>& stop) {
  DeviceFlags device = flags.device;
  const TrainSettings& settings = start.settings;
  device.rnn_algorithm = settings.rnn_algorithm;
  const auto backend =
      start.stored() ? reopen_device(device, *start.stored(), flags.settings.gives_rnn_algorithm())
                     : device.open();
  const LanguageCorpus corpus = read_corpus(flags, settings, start.stored(), stop);
  report_corpus(corpus);
  LanguageModelConfig config = settings.model_config();
  config.vocabulary = corpus.tokenizer.size();
  report_model(config);

  Output output(flags.json, stop);
  TrainingOptions options = settings.training_options();
  options.run_dir = flags.save;
  const TrainingRun run{
      .model = config,
      .options = options,
      .lock = lock,
      .corpus = corpus,
      .description = {config, origin_of(flags, start.stored()),
                      described_training(settings, corpus, *backend, device), nullptr},
      .backend = backend,
      .observer = {
          .log = [&](const std::string& line) { output.log(line); },
          .note = [&](const std::string& line) { output.note_line(line); },
          .warn = [&](const std::string& line) { output.note_line("warning: " + line); },
          .progress =
              [&](const TrainingStatus& status) { output.progress(status, options.epochs); }},
      .resume = start.checkpoint ? &*start.checkpoint : nullptr,
      .stop = &stop};
  if (start.checkpoint)
    note(fmt::format("resuming {} at step {}", flags.save, start.checkpoint->step));
  const TrainingResult result = [&] {
    try {
      return train(run);
    } catch (const DeviceError& error) {
      if (list_checkpoints(flags.save).empty()) throw;
      throw std::runtime_error(
          fmt::format("{}; the last checkpoint is sound, {}", error.what(), to_go_on(flags)));
    }
  }();
  output.clear();
  if (stop_signal() == 0 && !output.failure().empty())
    throw std::runtime_error(
        fmt::format("{}; step {} is saved, {}", output.failure(), result.steps, to_go_on(flags)));
  if (result.interrupted)
    end_interrupted(flags, fmt::format("stopped at step {}, which is saved", result.steps));
  report(flags, result, config);
}

void run_train(const TrainFlags& flags, bool resume_given) {
  std::atomic<bool>& stop = catch_stop_signals();
  check_usage(flags, resume_given);
  RunLock lock(flags.save);
  Start start = start_of(flags, resume_given);
  try {
    train_and_report(flags, start, lock, stop);
  } catch (const Interrupted&) {
    if (start.checkpoint)
      end_interrupted(flags, "stopped while reading the text; the run is as it was");
    throw Stopped(stop_signal(), "stopped while reading the text; nothing has been trained yet");
  }
}

}  // namespace

void add_train(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<TrainFlags>();
  flags->add_to(*command);
  command->callback([flags, command, &run] {
    const bool resume_given = command->get_option("--resume")->count() > 0;
    run = [flags, resume_given] { run_train(*flags, resume_given); };
  });
}

}  // namespace unroll::cli
