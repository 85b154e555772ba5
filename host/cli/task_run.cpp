#include "host/cli/task_run.h"

#include <vector>

#include "host/cli/values.h"
#include "host/models/language_model.h"

namespace unroll::cli {
namespace {

struct TaskCommand {
  TaskRun (*prepare)(const TrainSettings& settings, const DataSource& source);
  bool (*describes)(const TrainSettings& settings, const JsonObject& model);
};

TaskCommand command_of(const std::string& task) {
  return choose<TaskCommand>(
      "--task", task,
      {{LanguageModelTask::kName, {prepare_language_model, describes_language_model}}});
}

}  // namespace

TaskRun prepare_task(const TrainSettings& settings, const DataSource& source) {
  return command_of(settings.task).prepare(settings, source);
}

bool describes(const TrainSettings& settings, const JsonObject& model) {
  return command_of(settings.task).describes(settings, model);
}

}  // namespace unroll::cli
