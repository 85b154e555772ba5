/// unroll train: begins a run, or goes on with one.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "host/cli/command_line.h"
#include "host/cli/commands.h"
#include "host/cli/progress_line.h"
#include "host/cli/signals.h"
#include "host/cli/train_settings.h"
#include "host/data/interrupted.h"
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

/// Lines, and the one at the bottom that they must not be written into.
class Output {
 public:
  explicit Output(bool json) : json_(json) {}

  void log(const std::string& line) {
    progress_.clear();
    if (json_) return note_line(line);
    try {
      print(line + "\n");
    } catch (const Stopped&) {  // is worth a word where it ends hours of work
      throw std::runtime_error("stdout cannot be written: nobody reads it any more");
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

 private:
  bool json_;
  ProgressLine progress_;
};

/// What the text is like, before hours are spent on it.
void report_corpus(const LanguageCorpus& corpus) {
  note(fmt::format("corpus: {}, {} {} types", corpus.name, corpus.tokenizer.size(),
                   to_string(corpus.tokenizer.kind())));
  note(fmt::format("  {:<6} {:>13} {:>11} {:>9} {:>9} {:>11} {:>9}", "split", "tokens", "lines",
                   "empty", "types", "unknown", "longest"));
  for (const auto& [name, split] :
       {std::pair{"train", &corpus.train}, {"valid", &corpus.valid}, {"test", &corpus.test}}) {
    const TextStatistics& s = split->statistics;
    if (s.tokens == 0) continue;
    note(fmt::format("  {:<6} {:>13} {:>11} {:>9} {:>9} {:>9.3f} % {:>9}", name, s.tokens, s.lines,
                     s.empty_lines, s.types, 100 * double(s.unknown) / double(s.tokens),
                     s.longest_line));
    if (s.crlf_lines > 0) note(fmt::format("  {:<6} {} lines end in CR LF", name, s.crlf_lines));
  }
}

void report_model(const LanguageModelConfig& config) {
  note(fmt::format("model: {}, embedding {}, layers of {} units{}", to_string(config.cell),
                   config.embedding, fmt::join(config.hidden, ", "), config.tied ? ", tied" : ""));
  for (const VariableInfo& info : parameters(config))
    note(fmt::format("  {:<20} {:>15} {:>13}", info.name, to_string(info.type.shape),
                     info.type.shape.elements()));
  note(fmt::format("  {:<20} {:>15} {:>13}", "parameters", "", parameter_count(config)));
}

/// The text of the run, which for a resumed one must be the text that it was begun with.
LanguageCorpus read_corpus(const TrainFlags& flags, const TrainSettings& settings,
                           const nlohmann::json* stored, const std::atomic<bool>& stop) {
  CorpusOptions options = settings.corpus_options();
  options.path = flags.data;
  if (stored && flags.data.empty() && stored->at("corpus") != kBuiltInCorpus)
    options.path = JsonObject(*stored, "config.json").string("corpus");
  options.cache_dir = flags.cache_dir;
  options.stop = &stop;
  options.note = note;
  LanguageCorpus corpus = read_language_corpus(options);
  if (!stored) return corpus;
  const std::string expected =
      JsonObject(*stored, "config.json").object("training").string("text_fingerprint");
  if (corpus.fingerprint != expected)
    throw std::runtime_error(fmt::format("{}: is not the text that the run in {} was begun with",
                                         corpus.name, flags.save));
  return corpus;
}

[[noreturn]] void end_interrupted(const TrainFlags& flags, const std::string& what) {
  throw Stopped(stop_signal(),
                fmt::format("{}; to go on: unroll train --save {} --resume", what, flags.save));
}

/// "cpu (avx512, 2 threads)" computes the same bits as with any other number of threads.
std::string kind_of_device(const Backend& backend) {
  const std::string name = backend.name();
  return name.substr(0, name.find(','));
}

nlohmann::json described_training(const TrainSettings& settings, const LanguageCorpus& corpus,
                                  const Backend& backend, int threads) {
  nlohmann::json json = to_json(settings);
  json["text_fingerprint"] = corpus.fingerprint;
  json["device"] = kind_of_device(backend);
  json["threads"] = threads;
  return json;
}

/// A resumed run keeps to the device that it was begun on, unless another one is asked for.
std::shared_ptr<Backend> open_device(DeviceFlags& flags, const nlohmann::json* stored) {
  if (!stored) return flags.open();
  const JsonObject training = JsonObject(*stored, "config.json").object("training");
  const std::string begun_on = training.string("device");
  if (!flags.device_given()) flags.device = begun_on.starts_with("cpu") ? "cpu" : "cuda";
  if (!flags.threads_given()) flags.threads = int(training.integer("threads", 0, 4096));
  auto backend = flags.open();
  if (const std::string now = kind_of_device(*backend); now != begun_on)
    warn(fmt::format("the run was begun on {}: on {} its results will differ by rounding", begun_on,
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

bool asked_to_resume(const TrainFlags& flags, bool given) {
  if (!given) return false;
  if (flags.resume.empty()) return true;
  if (flags.resume != "auto")
    throw UsageError("--resume: got '" + flags.resume +
                     "', expected nothing or auto; which run it is, --save says");
  return !list_checkpoints(flags.save).empty();
}

void run_train(const TrainFlags& flags, bool resume_given) {
  const std::atomic<bool>& stop = catch_stop_signals();
  const bool resume = asked_to_resume(flags, resume_given);
  TrainSettings settings = flags.settings.settings();
  flags.device.check();
  if (!resume) {
    settings.check();
    settings.model_config();  // mistakes come before side effects
    settings.training_options();
    settings.corpus_options();
    if (!list_checkpoints(flags.save).empty())
      throw std::runtime_error("--save: " + flags.save +
                               " already holds a run; --resume goes on with it, another folder "
                               "begins a new one");
  } else if (list_checkpoints(flags.save).empty()) {
    throw std::runtime_error("--resume: " + flags.save +
                             " holds no checkpoint, expected a run to go on with");
  }
  const RunLock lock(flags.save);

  std::optional<Checkpoint> checkpoint;
  const nlohmann::json* stored = nullptr;
  if (resume) {
    checkpoint = load_checkpoint(flags.save, {.latest = true, .state = true, .damaged = warn});
    stored = &checkpoint->config;
    const std::string where = (checkpoint->directory / "config.json").string();
    settings = flags.settings.settings_of_resumed(
        settings_from(JsonObject(*stored, where).object("training")), flags.save);
    settings.check();
  }
  DeviceFlags device = flags.device;
  const auto backend = open_device(device, stored);
  try {
    const LanguageCorpus corpus = read_corpus(flags, settings, stored, stop);
    report_corpus(corpus);
    LanguageModelConfig config = settings.model_config();
    config.vocabulary = corpus.tokenizer.size();
    report_model(config);

    Output output(flags.json);
    TrainingOptions options = settings.training_options();
    options.run_dir = flags.save;
    const std::string origin =
        stored && flags.data.empty() ? JsonObject(*stored, "config.json").string("corpus")
        : flags.data.empty()         ? kBuiltInCorpus
                                     : std::filesystem::absolute(flags.data).string();
    const TrainingRun run{
        .model = config,
        .options = options,
        .corpus = corpus,
        .description = {config, origin,
                        described_training(settings, corpus, *backend, device.threads), nullptr},
        .backend = backend,
        .observer = {
            .log = [&](const std::string& line) { output.log(line); },
            .note = [&](const std::string& line) { output.note_line(line); },
            .warn = [&](const std::string& line) { output.note_line("warning: " + line); },
            .progress =
                [&](const TrainingStatus& status) { output.progress(status, options.epochs); }},
        .resume = checkpoint ? &*checkpoint : nullptr,
        .stop = &stop};
    if (resume) note(fmt::format("resuming {} at step {}", flags.save, checkpoint->step));
    const TrainingResult result = train(run);
    output.clear();
    if (result.interrupted)
      end_interrupted(flags, fmt::format("stopped at step {}, which is saved", result.steps));
    report(flags, result, config);
  } catch (const Interrupted&) {
    if (resume) end_interrupted(flags, "stopped while reading the text; the run is as it was");
    throw Stopped(stop_signal(), "stopped while reading the text; nothing has been trained yet");
  }
}

}  // namespace

void add_train(CLI::App& app, std::function<void()>& run) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "Train a language model on text");
  flags->add_to(*command);
  command->callback([flags, command, &run] {
    const bool resume_given = command->get_option("--resume")->count() > 0;
    run = [flags, resume_given] { run_train(*flags, resume_given); };
  });
}

}  // namespace unroll::cli
