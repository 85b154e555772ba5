/// Everything that decides what a training run computes or how it goes on: defaults, published
/// recipes, and each setting's flag, in one list that parsing, help, checkpoints and resuming
/// share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/base/strict_json.h"
#include "host/data/language_corpus.h"
#include "host/train/trainer.h"

namespace unroll::cli {

struct TrainSettings {
  std::string recipe;

  std::string tokenizer = "word", split = "fraction";
  double valid_fraction = 0.05;
  std::optional<double> test_fraction;
  std::int64_t vocab_size = 0, min_count = 1;

  std::string model = "lstm", gru_reset = "after";
  std::int64_t emsize = 200, nlayers = 2;
  std::vector<std::int64_t> nhid = {200};
  double dropout = 0.2;
  bool tied = false;
  double init_range = 0;
  std::optional<double> forget_bias;

  std::string optimizer = "adam", lr_schedule = "plateau", reduction = "mean";
  std::optional<double> lr;
  double lr_decay = 4;
  std::int64_t lr_decay_after = 0, warmup = 0;
  double momentum = 0.9, rms_decay = 0.99, weight_decay = 0, clip = 0.25, clip_value = 0;
  std::int64_t batch_size = 20, bptt = 35, chunk_rows = 0, seed = 1111;
  bool overfit_one_batch = false;
  std::int64_t eval_interval = 0;
  std::string rnn_algorithm = "auto";

  std::int64_t epochs = 40, patience = 0;
  std::string on_divergence = "stop";
  std::optional<double> loss_ceiling;
  std::int64_t verify_every = 0;
  std::int64_t save_every = 2000, keep = 2, log_interval = 200;

  /// Errors    UsageError if a value is out of its range, is none of the choices, or contradicts
  ///           another.
  void check() const;

  /// The same in the terms of the layers below. The vocabulary's size is still
  /// to come, and so are path and sinks of the corpus.
  CorpusOptions corpus_options() const;
  LanguageModelConfig model_config() const;
  TrainingOptions training_options() const;
};

/// The settings of a command line: which were given, and what.
class TrainSettingFlags {
 public:
  void add_to(CLI::App& command);

  /// The defaults for such a text or the recipe's settings, and what was given.
  /// Errors    UsageError if there is no such recipe or optimizer.
  TrainSettings settings(bool built_in_text) const;

  /// Those of a run, and what was given where a resumed run may differ.
  /// Errors    UsageError, naming the flag, where it may not.
  TrainSettings settings_of_resumed(const TrainSettings& stored, const std::string& run) const;

  bool gives_rnn_algorithm() const;

 private:
  TrainSettings given_;
  std::map<std::string, const CLI::Option*> options_;  // by name
};

nlohmann::json to_json(const TrainSettings& settings);
/// Settings that a checkpoint of an older version does not have keep their defaults.
/// Errors    std::runtime_error if a value is of another type.
TrainSettings settings_from(const JsonObject& json);

}  // namespace unroll::cli
