#include "host/cli/stored_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/base/utf8.h"
#include "host/cli/task_run.h"
#include "host/cli/train_setting_flags.h"
#include "host/cli/values.h"
#include "host/train/trainer.h"
#include "unroll/backend.h"

namespace unroll::cli {
namespace {

/// Throws std::runtime_error if they contradict each other or the model.
void check_stored(const TrainSettings& settings, const JsonObject& config) {
  try {
    settings.check();
  } catch (const UsageError& error) {  // the file is wrong, not the command line
    throw std::runtime_error(fmt::format("{}: training: {}", config.where(), error.what()));
  }
  if (!describes(settings, config.object("model")))
    throw std::runtime_error(config.where() + ": training: got another model than that of model");
}

/// Throws std::runtime_error for a name that is none.
RecurrentAlgorithm stored_algorithm(const JsonObject& training, const char* key) {
  const std::string name = training.string(key);
  try {
    return RecurrentAlgorithm::parse(name);
  } catch (const std::invalid_argument&) {
    throw std::runtime_error(fmt::format("{}: {}: got {}, expected {}", training.where(), key,
                                         in_quotes(name), RecurrentAlgorithm::kNames));
  }
}

std::vector<std::string> stored_texts(const JsonObject& training) {
  const nlohmann::json& list = training.at("texts");
  const auto is_text = [](const nlohmann::json& item) { return item.is_string(); };
  if (!list.is_array() || list.size() < 2 || list.size() > 3 || !std::ranges::all_of(list, is_text))
    throw std::runtime_error(fmt::format("{}: texts: got {}, expected two or three names of files",
                                         training.where(), in_quotes(list.dump())));
  return list.get<std::vector<std::string>>();
}

}  // namespace

nlohmann::json StoredRun::training_json() const {
  nlohmann::json json = to_json(settings);
  json["text_fingerprint"] = text_fingerprint;
  json["device"] = device;
  json["precision"] = precision;
  json["threads"] = threads;
  if (!init_from.empty()) json["init_from"] = init_from;
  if (!texts.empty()) json["texts"] = texts;
  if (!changes.empty()) json["changes"] = changes;
  return json;
}

StoredRun StoredRun::from(const JsonObject& config) {
  const JsonObject training = config.object("training");
  StoredRun run;
  run.settings = settings_from(training);
  check_stored(run.settings, config);
  run.corpus = config.string("corpus");
  run.text_fingerprint = training.string("text_fingerprint");
  run.device = training.string("device");
  run.precision =
      training.has("precision") ? training.string("precision") : to_string(Precision::kFp32);
  run.threads = int(training.integer("threads", 0, 4096));
  if (training.has("init_from")) run.init_from = training.string("init_from");
  if (training.has("texts")) run.texts = stored_texts(training);
  if (training.has("changes")) run.changes = training.at("changes");
  if (!run.changes.is_array())
    throw std::runtime_error(training.where() + ": changes: got " + run.changes.dump() +
                             ", expected a list");
  for (const char* key : {kOldAlgorithmKey, kAlgorithmKey})
    if (training.has(key)) run.algorithm = stored_algorithm(training, key);
  return run;
}

std::string kind_of_device(const Backend& backend) {
  const std::string name = backend.name();
  const std::size_t model = name.find('(');
  return fmt::format(
      "{} ({}){}", backend.kind() == DeviceKind::kCpu ? "cpu" : "cuda",
      name.substr(model + 1, name.find_first_of(",)", model) - model - 1),
      backend.precision() == Precision::kFp32 ? "" : " in " + to_string(backend.precision()));
}

}  // namespace unroll::cli
