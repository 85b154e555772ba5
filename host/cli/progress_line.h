/// One line at the bottom of a terminal that shows how far training is.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "host/train/trainer.h"

namespace unroll::cli {

/// Does nothing unless stderr is a terminal that can move its cursor. Plain if NO_COLOR is set.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet = false);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Draws at most a few times a second.
  void update(const TrainingStatus& status, const Task& task);
  /// Makes room for an ordinary line.
  void clear();

 private:
  bool enabled_, color_, drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// "1:02:03" or "4:05".
std::string format_duration(double seconds);

/// The line as text, narrower than `columns`. Where all of it has no room, the loss stays longest,
/// then the epoch, then the time. `measures`: of the loss.
std::string progress_text(const TrainingStatus& status, const std::vector<Measure>& measures,
                          int columns);

}  // namespace unroll::cli
