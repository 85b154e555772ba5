/// unroll train --task classify: a folder of labelled texts.
#include <fmt/format.h>

#include <memory>

#include "host/cli/output.h"
#include "host/cli/task_run.h"
#include "host/data/labelled_texts.h"
#include "host/models/sequence_classifier.h"

namespace unroll::cli {
namespace {

constexpr std::int32_t kMostShown = 20;

/// What the texts are like, before hours are spent on them.
void report_texts(const LabelledTexts& texts) {
  note(fmt::format("texts: {}, {} classes, {} {} types", texts.name, texts.labels.size(),
                   texts.tokenizer.size(), to_string(texts.tokenizer.kind())));
  note(fmt::format("  {:<6} {:>9} {:>13} {:>9} {:>11}", "split", "texts", "tokens", "longest",
                   "unknown"));
  for (const auto& [name, split] :
       {std::pair("train", texts.train), {"valid", texts.valid}, {"test", texts.test}}) {
    const LabelledStatistics& s = split->statistics;
    note(fmt::format("  {:<6} {:>9} {:>13} {:>9} {:>9.3f} %", name, s.texts, s.tokens, s.longest,
                     100 * double(s.unknown) / double(s.tokens)));
  }
  const auto& train = texts.train->statistics;
  for (std::int32_t k = 0; k < std::min(texts.labels.size(), kMostShown); ++k)
    note(fmt::format("  {:<20} {:>6.2f} % of the training texts", texts.labels.label(k),
                     100 * double(train.per_class[std::size_t(k)]) / double(train.texts)));
  if (texts.labels.size() > kMostShown)
    note(fmt::format("  and {} more classes", texts.labels.size() - kMostShown));
}

}  // namespace

TaskRun prepare_classifier(const TrainSettings& settings, const DataSource& source) {
  LabelledTextsOptions options = settings.labelled_texts_options();
  options.fingerprint = source.fingerprint;
  options.given = source.tokenizer;
  options.stop = source.stop;
  const LabelledTexts texts = read_labelled_texts(source.path, options);
  report_texts(texts);
  SequenceClassifierConfig config = settings.classifier();
  config.vocabulary = texts.tokenizer.size();
  config.classes = texts.labels.size();
  const auto task = std::make_shared<SequenceClassifier>(config, texts.tokenizer, texts.labels);
  const auto batches = [&](const std::shared_ptr<const LabelledSplit>& split,
                           std::optional<std::uint64_t> seed = {}) {
    return std::make_unique<TextBatches>(split, task->batches(settings.batch_size, seed));
  };
  TaskRun run{.task = task, .examples = {}, .fingerprint = texts.fingerprint};
  run.examples.train = batches(texts.train, std::uint64_t(settings.seed));
  run.examples.valid = batches(texts.valid);
  run.examples.test = batches(texts.test);
  return run;
}

bool describes_classifier(const TrainSettings& settings, const JsonObject& model) {
  SequenceClassifierConfig trained = settings.classifier();
  const SequenceClassifierConfig stored = sequence_classifier_from(model);
  trained.vocabulary = stored.vocabulary;  // those of the texts
  trained.classes = stored.classes;
  return to_json(trained) == to_json(stored);
}

}  // namespace unroll::cli
