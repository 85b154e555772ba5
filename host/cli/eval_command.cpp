/// unroll eval: how good a model is. A language model: perplexity on a text, beside the truth where
/// that is known. A classifier: accuracy on labelled texts, and F1 of each class. A tagger: the
/// same of words. A forecaster: errors beside those of rules that know nothing.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "host/cli/classify_report.h"
#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/eval_texts.h"
#include "host/cli/output.h"
#include "host/cli/series_report.h"
#include "host/cli/tag_report.h"
#include "host/cli/values.h"
#include "host/data/labelled_texts.h"
#include "host/data/tagged_corpus.h"
#include "host/infer/classifier.h"
#include "host/infer/forecast_errors.h"
#include "host/infer/tagger.h"
#include "host/models/language_model.h"
#include "host/models/model_file.h"
#include "host/models/sequence_classifier.h"
#include "host/models/sequence_tagger.h"
#include "host/models/series_task.h"

namespace unroll::cli {
namespace {

struct EvalFlags {
  std::string checkpoint, data;  // of another task than a language model, the only file
  std::vector<std::string> files;
  std::int64_t season = 0;
  bool json = false;
  DeviceFlags device;
};

void eval_classifier(const EvalFlags& flags, const LoadedModel& model) {
  if (flags.data.empty())
    throw UsageError("--data is required: a file of lines of label, tab, text");
  const auto task = std::dynamic_pointer_cast<const SequenceClassifier>(model.task);
  const auto texts = std::make_shared<const LabelledSplit>(
      read_labelled_split(TextSource(flags.data), task->tokenizer(), task->labels()));
  TextClassifier classifier(task, model.store);
  const ClassifierEvaluation result = evaluate(classifier, texts, flags.data);
  const ClassifyReport report = evaluation_report(result, task->labels(), texts->statistics);
  if (flags.json)
    print_json(report.json);
  else
    print(report.lines);
}

void eval_tagger(const EvalFlags& flags, const LoadedModel& model) {
  if (flags.data.empty())
    throw UsageError("--data is required: a file in CoNLL-U, or of lines of word, tab, tag");
  const auto task = std::dynamic_pointer_cast<const SequenceTagger>(model.task);
  const auto sentences = std::make_shared<const TaggedSplit>(
      read_tagged_split(tagged_source(flags.data), task->config().column, task->vocabulary()));
  Tagger tagger(task, model.store);
  const TagReport report =
      tag_report(tagger.evaluate(sentences, flags.data), task->vocabulary().tags);
  if (flags.json)
    print_json(report.json);
  else
    print(report.lines);
}

/// Only rows that the model has not seen are forecast.
void eval_series(const EvalFlags& flags, const LoadedModel& model) {
  const auto task = std::dynamic_pointer_cast<const SeriesTask>(model.task);
  const std::string file = flags.data.empty() ? model.description.corpus : flags.data;
  const auto series =
      std::make_shared<const Series>(read_series(TextSource(file), task->learned()));
  const std::int64_t seen = task->learned().seen_of(*series);
  const std::int64_t window = task->config().window, horizon = task->config().horizon;
  const std::int64_t before = std::max(seen, window);
  if (before + horizon > series->rows())
    throw std::runtime_error(
        fmt::format("{}: got {} rows after {}, expected at least {} to forecast", file,
                    std::max<std::int64_t>(series->rows() - before, 0),
                    seen >= window ? fmt::format("the {} that the model has learned from", seen)
                                   : fmt::format("a window of {}", window),
                    horizon));
  if (flags.season > series->rows() - horizon)
    throw std::runtime_error(
        fmt::format("{}: got {} rows, expected at least {}: --season {} and a forecast of {}", file,
                    series->rows(), flags.season + horizon, flags.season, horizon));
  if (seen == 0)
    warn(
        fmt::format("{} does not begin with the rows that the model has learned from: if they are "
                    "among those that are forecast, the errors are too small",
                    file));
  Forecaster forecaster(task, model.store);
  const SeriesReport report = series_report(
      evaluate(forecaster, series, {.begin = seen, .season = flags.season}), *task, flags.season);
  if (flags.json)
    print_json(report.json);
  else
    print(report.lines);
}

void run_eval(EvalFlags flags) {
  require_range("--season", double(flags.season), 0, 1 << 30);
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  const std::string task = model.task->name();
  if (flags.season > 0 && task != SeriesTask::kName)
    throw UsageError(
        fmt::format("--season: got one for a model of the task {}, expected series", task));
  if (task == LanguageModelTask::kName) return eval_texts(model, flags.files, flags.json);
  if (flags.files.size() > 1)
    throw UsageError(fmt::format("--data: got {} files for a model of the task {}, expected one",
                                 flags.files.size(), task));
  if (!flags.files.empty()) flags.data = flags.files.front();
  const auto eval = task == SequenceClassifier::kName ? eval_classifier
                    : task == SequenceTagger::kName   ? eval_tagger
                                                      : eval_series;
  eval(flags, model);
}

}  // namespace

void add_eval(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<EvalFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  command
      ->add_option("--data", flags->files,
                   "Text files, - for stdin; without it, the held-out text of the built-in "
                   "grammar. For a classifier, a file of lines of label, tab, text. For a tagger, "
                   "a file in CoNLL-U, or of lines of word, tab, tag. For a forecaster, a CSV file "
                   "[that of the training]; rows that training has seen count only where the file "
                   "does not begin with them")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--season", flags->season,
                      "For a forecaster: also the errors of the rule that a row repeats the one so "
                      "many rows before, as 12 for months; 0: not");
  command->add_flag("--json", flags->json, "One JSON object");
  flags->device.add_to(*command);
  command->callback([flags, &run] { run = [flags] { run_eval(*flags); }; });
}

}  // namespace unroll::cli
