/// What config.json says about a run, beside its model. It is written when a run begins or goes on,
/// and read only here.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/base/strict_json.h"
#include "host/cli/train_settings.h"
#include "unroll/device.h"

namespace unroll::cli {

/// Two members of `training` in config.json are about the RNN algorithm. "rnn_algorithm" is the
/// setting: what the user asked for, often "auto". "rnn_algorithm_used" is what the backend then
/// used; the trainer adds it (kAlgorithmKey in trainer.h).
struct StoredRun {
  TrainSettings settings;        // as of its last part
  std::string corpus;            // a path, or kBuiltInCorpus
  std::string text_fingerprint;  // of the content of the text
  std::string device;            // kind_of_device() of the last part
  std::string precision;         // asked for; for tf32, a part on the CPU is in fp32
  int threads = 0;               // as --threads
  /// Used in the last part; none if an old file lacks it.
  std::optional<RecurrentAlgorithm> algorithm = {};
  /// The checkpoint whose parameters and tokens the run began with; empty: its own.
  std::string init_from = {};
  /// The files of a corpus that is no folder: training, validation, perhaps test; else none.
  std::vector<std::string> texts = {};
  /// When the run went on with other settings: [{"step", "changes"}, ...], the first first.
  nlohmann::json changes = nlohmann::json::array();

  bool was_on_cpu() const { return device.starts_with("cpu"); }

  /// The `training` member of config.json, without `algorithm`, which the trainer adds.
  nlohmann::json training_json() const;

  /// `config`: all of config.json. Members that older versions did not write are optional.
  /// Errors    std::runtime_error if a value is missing, of another type or out of its range, or if
  ///           the settings are not those of the model.
  static StoredRun from(const JsonObject& config);
};

/// The kind of device, by which results are rounded: "cpu (avx512)", "cuda (NVIDIA H200) in bf16".
/// The number of threads makes no difference, nor does the choice among equal GPUs.
std::string kind_of_device(const Backend& backend);

}  // namespace unroll::cli
