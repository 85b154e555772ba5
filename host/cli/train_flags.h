/// The flags of unroll train.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "host/cli/device_flags.h"
#include "host/cli/train_setting_flags.h"

namespace unroll::cli {

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

/// Mistakes on the command line come before side effects.
/// Errors    UsageError, naming the flag.
void check_usage(const TrainFlags& flags, bool resume_given, int ranks);

/// Errors    UsageError if a flag of texts was given that the task does not have.
void check_text_flags(const TrainFlags& flags, const TrainSettings& settings);

}  // namespace unroll::cli
