/// What unroll train says: the model, the lines of the run, and the result.
#pragma once

#include <atomic>
#include <string>

#include "host/cli/progress_line.h"
#include "host/cli/train_flags.h"
#include "host/train/trainer.h"

namespace unroll::cli {

/// The lines of a run, kept apart from the progress line at the bottom of the terminal. If the log
/// cannot be written, the run is asked to save itself and end.
class TrainOutput {
 public:
  TrainOutput(const TrainFlags& flags, std::atomic<bool>& stop)
      : json_(flags.json), quiet_(flags.quiet), stop_(stop), progress_(flags.quiet) {}

  void log(const std::string& line) {
    if (!quiet_) result(line);
  }
  /// A line that is not left out.
  void result(const std::string& line);
  void note_line(const std::string& line);
  void warn_line(const std::string& line);
  void progress(const TrainingStatus& status, const Task& task) { progress_.update(status, task); }
  void clear() { progress_.clear(); }

  /// Why the log could not be written; empty if it could.
  const std::string& failure() const { return failure_; }

 private:
  void fail(const std::string& why) {
    failure_ = why;
    stop_ = true;
  }

  bool json_, quiet_;
  std::atomic<bool>& stop_;
  std::string failure_;
  ProgressLine progress_;
};

void report_model(const Task& task, bool verbose);

/// The end of a run: its losses, and where it is saved.
void report(const TrainFlags& flags, const TrainingResult& result, const Task& task,
            TrainOutput& output);

}  // namespace unroll::cli
