/// The settings of a run as a command line and config.json give them.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "host/base/strict_json.h"
#include "host/cli/initial_model.h"
#include "host/cli/train_settings.h"

namespace unroll::cli {

/// The settings of a command line: which were given, and what.
class TrainSettingFlags {
 public:
  void add_to(CLI::App& command);

  /// The recipe's settings, else the defaults for the training text or the folder of texts `data`,
  /// with the flags given.
  /// Errors    UsageError if there is no such recipe or optimizer.
  TrainSettings settings(const std::string& data) const;

  /// The settings of a stored run, with the flags given where a resumed run may differ.
  /// Errors    UsageError, naming the flag, where it may not differ.
  TrainSettings settings_of_resumed(const TrainSettings& stored, const std::string& run) const;

  /// The settings of a new run that begins with a model's parameters: what the model is comes from
  /// there, and so does the dropout, unless that flag is given.
  /// Errors    UsageError, naming the flag, where one says otherwise.
  TrainSettings settings_of_model(const InitialModel& model, const std::string& data) const;

  bool gives_rnn_algorithm() const;

  /// Whether help shows an option, which may be none of these: all flags of the task, or those that
  /// most runs need.
  bool help_shows(const CLI::Option& option, bool all) const;

 private:
  /// Help shows the flags of this task and their defaults, that of the flag or of the default.
  void show(const std::string& task);
  /// Throws UsageError if a flag was given that only another task has.
  void require_flags_of(const std::string& task) const;
  /// Throws UsageError if a flag was given that such settings do not use.
  void require_used(const TrainSettings& settings) const;
  TrainSettings settings_for(const std::string& data, const std::string& tokenizer) const;

  TrainSettings given_;
  std::string shown_task_;
  std::map<std::string, CLI::Option*> options_;  // by name
};

/// What differs, by name: {"lr": {"from": 20, "to": 5}}; null if nothing does.
nlohmann::ordered_json changes(const TrainSettings& before, const TrainSettings& after);

nlohmann::json to_json(const TrainSettings& settings);
/// Settings that a checkpoint of an older version does not have keep their defaults.
/// Errors    std::runtime_error if a value is of another type.
TrainSettings settings_from(const JsonObject& json);

}  // namespace unroll::cli
