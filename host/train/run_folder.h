/// The folder of a run as its one writer sees it: locked, with room for checkpoints, and with the
/// run's metrics.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "host/base/file.h"

namespace unroll {

/// A folder that no other run may write checkpoints to as long as this lives. The lock belongs to
/// the process: however it ends, the folder is free again. It is a file, .lock, that only users
/// with the right to write to the folder can open, so that no reader can hold it.
class RunLock {
 public:
  /// Makes the folder if it is missing.
  /// Errors    std::runtime_error if it cannot be made or written, or another process holds it, or
  ///           the lock is not a regular file.
  /// `is_new`: the folder was made for this run.
  explicit RunLock(const std::filesystem::path& run_dir, bool is_new = false);
  /// Removes the folder if it was made for the run and nothing has come into it.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Makes the lock anew if it was removed.
  /// Errors    std::runtime_error if the folder is not there any more under its name, or is
  ///           another, or another process has made a lock in it.
  void require_held();

 private:
  void take();
  bool is_folder_there() const;
  bool is_held() const;

  std::filesystem::path run_dir_;
  bool made_;
  std::optional<Descriptor> folder_, fd_;
};

/// Makes PARENT/NAME-N, a number above those that are there. Two runs never get the same folder.
/// Errors    std::runtime_error if it cannot be made.
std::filesystem::path make_new_run_folder(const std::filesystem::path& parent,
                                          const std::string& name);

/// The folder of the parent in which something was logged last and that holds a checkpoint; with a
/// name, only of NAME-N. Empty if there is none.
std::filesystem::path newest_run(const std::filesystem::path& parent, const std::string& name);

/// Whether the folder holds checkpoints or metrics.
bool holds_run(const std::filesystem::path& run_dir);

/// Removes what a run has written to the folder: checkpoints, links, metrics, TensorBoard's events,
/// the report. The caller holds the lock.
/// Errors    std::runtime_error if the system fails a call.
void remove_run(const std::filesystem::path& run_dir);

/// Returns the bytes that the folder's file system has left for us.
/// Errors    std::runtime_error if they are fewer than `bytes`.
double require_room(const std::filesystem::path& run_dir, std::int64_t bytes);

/// metrics.jsonl: one JSON object a line, appended as they come.
///
///   {"event": "train", "step", "epoch", "loss", "ppl", "gradient_norm", "lr", "tokens_per_second",
///    "seconds"}                                  every log interval; means over it
///   {"event": "valid", "step", "epoch", "loss", "ppl", "accuracy", "best", "seconds"}
///   {"event": "test", ...}                       as valid, without best
///   {"event": "jump", "step", "epoch", "jumps", "loss", "limit", "seconds"}
///                             steps since the last check whose loss was far above the mean, and
///                             which were applied; loss and limit of the last of them
///   {"event": "diverged", "step", "epoch", "refused", "loss", "limit", "reason", "parameter",
///    "action", "seconds"}     steps refused since the last check; `step` is the first of their
///    last
///                             row, or the step of the check if applied steps followed the row
///   {"event": "settings", "step", "epoch", "changes": {NAME: {"from", "to"}}, "seconds"}
///                             where a run went on with other settings
///
/// Losses are in nats per token. A number that is not finite is null. Seconds count from the start
/// of the run, without the time in which it was stopped. Each line also has "time", when it was
/// written: ISO 8601 in UTC.
class MetricsLog {
 public:
  static constexpr const char* kName = "metrics.jsonl";

  /// Opens run_dir/metrics.jsonl and cuts it to its first `bytes`, which were there when the
  /// checkpoint was made from which the run goes on. `warn` is told if they are not there any more.
  /// What is left of it ends with a whole line.
  /// A file of several names, as backups by hard links make them, is replaced by a copy first, so
  /// that the others keep what they have.
  /// Errors    std::runtime_error if it cannot be opened, cut or copied, or is not a regular file:
  ///           no link is followed.
  MetricsLog(const std::filesystem::path& run_dir, std::int64_t bytes,
             const std::function<void(const std::string&)>& warn);

  /// Errors    std::runtime_error if it cannot be written.
  void write(const nlohmann::ordered_json& line);

  /// Waits until every line is on the disk; returns the bytes so far.
  std::int64_t sync();

 private:
  std::filesystem::path file_;
  Descriptor fd_;
  std::int64_t bytes_ = 0;
};

}  // namespace unroll
