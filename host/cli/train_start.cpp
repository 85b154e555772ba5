#include "host/cli/train_start.h"

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>
#include <utility>

#include "host/cli/initial_model.h"
#include "host/cli/output.h"
#include "host/cli/rnn_algorithm.h"
#include "host/cli/tokenizer_input.h"
#include "host/cli/values.h"
#include "host/train/run_folder.h"

namespace unroll::cli {
namespace {

/// The tokenizer of the model that the run begins with, or whose file the settings name. A run that
/// goes on has it in its checkpoint.
std::optional<Tokenizer> given_tokenizer(const TrainStart& start) {
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

/// The run that a checkpoint's configuration describes, with the settings that flags change.
TrainStart go_on_from(const TrainFlags& flags, Checkpoint checkpoint) {
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
TrainStart begin_with(const TrainFlags& flags, Checkpoint checkpoint) {
  const TrainSettings settings =
      flags.settings.settings_of_model(InitialModel(checkpoint), flags.training_text());
  settings.check();
  check_text_flags(flags, settings);
  flags.device.check(choose_rnn_algorithm(settings.rnn_algorithm));
  return {.settings = settings, .initial = std::move(checkpoint)};
}

/// A new run.
TrainStart begin(const TrainFlags& flags) {
  if (flags.init_from.empty()) return {flags.settings.settings(flags.training_text())};
  return begin_with(flags,
                    load_checkpoint(flags.init_from, {.damaged = warn, .most_bytes = most_bytes}));
}

}  // namespace

TrainStart start_of(const TrainFlags& flags, bool resume_given) {
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

std::string to_text(const TrainStart& start) {
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

TrainStart start_from(const TrainFlags& flags, const std::string& text) {
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

std::string init_from(const TrainStart& start) {
  if (start.initial) return start.initial->directory.string();
  return start.run ? start.run->init_from : "";
}

std::string origin_of(const TrainFlags& flags, const StoredRun* stored) {
  const std::string& given = flags.train.empty() ? flags.data : flags.train;
  if (!given.empty()) return std::filesystem::absolute(given).string();
  return stored ? stored->corpus : kBuiltInCorpus;
}

std::vector<std::string> texts_of(const TrainFlags& flags, const StoredRun* stored) {
  if (!flags.data.empty()) return {};
  if (flags.train.empty()) return stored ? stored->texts : std::vector<std::string>();
  std::vector<std::string> texts;
  for (const std::string& file : {flags.train, flags.valid, flags.test})
    if (!file.empty()) texts.push_back(std::filesystem::absolute(file).string());
  return texts;
}

DataSource source_of(const TrainFlags& flags, const TrainStart& start,
                     const std::atomic<bool>& stop) {
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

}  // namespace unroll::cli
