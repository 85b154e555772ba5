/// How a run begins: from nothing, with a model's parameters, or where it was left.
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/stored_run.h"
#include "host/cli/task_run.h"
#include "host/cli/train_flags.h"
#include "host/models/checkpoint.h"
#include "unroll/backend.h"

namespace unroll::cli {

/// A run about to begin or to go on.
struct TrainStart {
  TrainSettings settings;
  std::optional<Checkpoint> checkpoint = {};  // to go on from
  std::optional<StoredRun> run = {};          // what it says
  std::optional<Checkpoint> initial = {};     // whose parameters and tokens a new run begins with
  nlohmann::ordered_json changes = {};        // of the settings of one that goes on

  const StoredRun* stored() const { return run ? &*run : nullptr; }
};

/// Needs the lock of the folder.
/// Errors    UsageError; std::runtime_error if the folder holds a run and should not, or the other
///           way round, or a checkpoint cannot be read.
TrainStart start_of(const TrainFlags& flags, bool resume_given);

/// What other ranks need of the checkpoint that rank 0 goes on from, apart from its tensors, which
/// training shares.
std::string to_text(const TrainStart& start);
/// The start of a rank that reads no checkpoint: what to_text() of rank 0 says.
TrainStart start_from(const TrainFlags& flags, const std::string& text);

/// The checkpoint whose parameters the run begins with, or began with.
std::string init_from(const TrainStart& start);
/// The name of the data in a checkpoint.
std::string origin_of(const TrainFlags& flags, const StoredRun* stored);
/// The files of --train, --valid and --test, or those that the run was begun with.
std::vector<std::string> texts_of(const TrainFlags& flags, const StoredRun* stored);
/// The data of the run, which for a resumed one must be those that it was begun with.
DataSource source_of(const TrainFlags& flags, const TrainStart& start,
                     const std::atomic<bool>& stop);

/// A resumed run keeps to the device that it was computed on last, and to its threads, unless
/// others are asked for, and always to its precision.
DeviceFlags device_of_resumed(const DeviceFlags& given, const StoredRun& stored);
/// The rule for the RNN algorithm of a resumed run. The flag comes first. Without it, the CPU
/// has only one algorithm, a GPU keeps the one that a GPU used last, and a run that comes from the
/// CPU takes its setting. A new run always takes its setting: flag, recipe or "auto".
RecurrentAlgorithm algorithm_of_resumed(const TrainFlags& flags, const TrainSettings& settings,
                                        const StoredRun& stored, const std::string& device);
/// `flags`: as device_of_resumed() made them.
std::shared_ptr<Backend> reopen(DeviceFlags flags, const RecurrentAlgorithm& algorithm,
                                const StoredRun& stored);

}  // namespace unroll::cli
