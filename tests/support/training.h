/// A training run that is small enough for hundreds of them in tests, and its files.
#pragma once

#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "host/data/grammar.h"
#include "host/data/language_corpus.h"
#include "host/models/language_model.h"
#include "host/train/trainer.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {

/// Sentences of the grammar: this many to train on, `held_out` for each of the other two texts.
inline LanguageCorpus small_corpus(std::int64_t sentences = 400, std::int64_t held_out = 40) {
  const Grammar grammar = Grammar::english();
  return corpus_in_memory(
      {grammar.sample(11, sentences), grammar.sample(12, held_out), grammar.sample(13, held_out)},
      TokenizerKind::kWord, {}, "sample");
}

inline LanguageModelConfig small_model(const LanguageCorpus& corpus,
                                       CellKind cell = CellKind::kLstm) {
  LanguageModelConfig config;
  config.cell = cell;
  config.vocabulary = corpus.tokenizer.size();
  config.embedding = 24;
  config.hidden = {24, 24};
  config.dropout = 0.1;
  config.tied = true;
  return config;
}

/// With the shape of the batches, and how often a stream begins at a zero state.
struct SmallOptions : TrainingOptions {
  std::int64_t batch = 7, bptt = 11;
  double zero_state = 0;
};

inline SmallOptions small_options(const std::filesystem::path& run_dir) {
  SmallOptions options;
  options.epochs = 3;
  options.optimizer = {.kind = OptimizerKind::kAdam, .clip_norm = 1};
  options.schedule = {.kind = ScheduleKind::kConstant, .learning_rate = 0.01};
  options.initialization.forget_bias = 1;
  options.log_interval = 20;
  options.run_dir = run_dir;
  return options;
}

struct TrainedRun {
  TrainingResult result;
  std::vector<std::string> log, notes, warnings;
};

struct TrainParts {
  std::shared_ptr<Backend> backend = cpu(1);
  std::int64_t stop_after = 0;  // steps of this part; 0: train to the end
  bool resume = false;
  std::function<void(std::int64_t)> after_step =
      {};                               // called with the number of steps so far in this part
  nlohmann::ordered_json changes = {};  // of the options, on resuming
  std::function<void(const TrainingStatus&)> progress = {};
};

/// A run of any task.
inline TrainedRun train_task(const Task& task, const TaskExamples& examples,
                             const TrainingOptions& options, const TrainParts& parts = {}) {
  RunLock lock(options.run_dir);
  TrainedRun trained;
  std::optional<Checkpoint> checkpoint;
  if (parts.resume) checkpoint = load_checkpoint(options.run_dir, {.latest = true, .state = true});
  std::atomic<bool> stop{false};
  std::int64_t steps = 0;
  const auto into = [](std::vector<std::string>& lines) {
    return [&lines](const std::string& line) { lines.push_back(line); };
  };
  trained.result = train({.task = task,
                          .examples = examples,
                          .options = options,
                          .lock = &lock,
                          .description = {kBuiltInCorpus, nullptr, nullptr},
                          .backend = parts.backend,
                          .observer = {.log = into(trained.log),
                                       .note = into(trained.notes),
                                       .warn = into(trained.warnings),
                                       .progress =
                                           [&](const TrainingStatus& status) {
                                             if (parts.progress) parts.progress(status);
                                             if (++steps == parts.stop_after) stop = true;
                                             if (parts.after_step) parts.after_step(steps);
                                           }},
                          .resume = checkpoint ? &*checkpoint : nullptr,
                          .changes = parts.changes,
                          .stop = &stop});
  return trained;
}

inline TrainedRun train_small(const LanguageCorpus& corpus, const LanguageModelConfig& config,
                              const SmallOptions& options, const TrainParts& parts = {}) {
  return train_task(LanguageModelTask(config, corpus.tokenizer, {.zero_state = options.zero_state}),
                    corpus.examples(options.batch, options.bptt), options, parts);
}

/// The bits at the end of a run: parameters, optimiser, carried state, and progress without times.
inline std::string final_bits(const std::filesystem::path& run_dir) {
  const std::filesystem::path last = run_dir / "latest";
  nlohmann::json progress = nlohmann::json::parse(read_text(last / "progress.json"));
  progress.erase("seconds");
  progress.erase("metrics_bytes");  // lines have different lengths because of their times
  return read_text(last / "model.safetensors") + read_text(last / "state.safetensors") +
         progress.dump();
}

/// A line of the log without its times.
inline std::string without_times(const std::string& line) {
  std::string text = line;
  for (const std::string_view label : {"ms/batch", "time:"})
    if (const std::size_t at = text.find(label); at != text.npos) {
      const std::size_t begin = at + label.size();
      text.erase(begin, text.find('|', begin) - begin);
    }
  return text;
}

/// The events of that name in metrics.jsonl, in order.
inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run_dir,
                                              const std::string& event) {
  std::istringstream lines(read_text(run_dir / "metrics.jsonl"));
  std::vector<nlohmann::json> found;
  for (std::string line; std::getline(lines, line);)
    if (auto json = nlohmann::json::parse(line); json.at("event") == event)
      found.push_back(std::move(json));
  return found;
}

}  // namespace unroll::test
