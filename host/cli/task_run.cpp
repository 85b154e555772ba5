#include "host/cli/task_run.h"

#include <fmt/format.h>

#include <vector>

#include "host/cli/values.h"
#include "host/models/language_model.h"
#include "host/models/sequence_classifier.h"
#include "host/models/sequence_tagger.h"
#include "host/models/series_task.h"

namespace unroll::cli {
namespace {

struct TaskCommand {
  TaskRun (*prepare)(const TrainSettings& settings, const DataSource& source);
  bool (*describes)(const TrainSettings& settings, const JsonObject& model);
  const char* data = "";  // what --data has to be; empty: the task has data of its own
};

TaskCommand command_of(const std::string& task) {
  return choose<TaskCommand>(
      "--task", task,
      {{LanguageModelTask::kName, {prepare_language_model, describes_language_model}},
       {SequenceClassifier::kName,
        {prepare_classifier, describes_classifier,
         "a folder with train.tsv, valid.tsv and test.tsv, lines of label, tab, text"}},
       {SequenceTagger::kName,
        {prepare_tagger, describes_tagger,
         "a folder with train, dev and test in CoNLL-U, or in lines of word, tab, tag"}},
       {SeriesTask::kName,
        {prepare_series, describes_series, "a CSV file whose first line names its columns"}}});
}

}  // namespace

void require_data(const TrainSettings& settings, const std::string& data) {
  const std::string expected = command_of(settings.task).data;
  if (data.empty() && !expected.empty())
    throw UsageError(
        fmt::format("--data: got none with --task {}, expected {}", settings.task, expected));
}

TaskRun prepare_task(const TrainSettings& settings, const DataSource& source) {
  return command_of(settings.task).prepare(settings, source);
}

bool describes(const TrainSettings& settings, const JsonObject& model) {
  return command_of(settings.task).describes(settings, model);
}

}  // namespace unroll::cli
