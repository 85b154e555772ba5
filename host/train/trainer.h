/// The training loop of any task: epochs of batches, validation, checkpoints.
///
/// A run's results do not depend on where it was stopped and resumed: a checkpoint holds everything
/// that decides what comes next, and whatever was due when it was made is done after it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "host/data/examples.h"
#include "host/models/evaluation.h"
#include "host/models/model_file.h"
#include "host/models/task.h"
#include "host/parallel/communicator.h"
#include "host/parallel/device_exchange.h"
#include "host/train/run_folder.h"
#include "host/train/schedule.h"

namespace unroll {

/// What to do about a step that was refused (see LossGuardSpec). In any case the step has changed
/// no parameter.
enum class OnDivergence : std::uint8_t {
  kStop,      // end the run with an error
  kSkip,      // skip the batch
  kRollBack,  // skip it, load the last scheduled checkpoint's weights, halve the learning rate
};

struct TrainingOptions {
  std::int64_t epochs = 40;
  OptimizerSpec optimizer;
  ScheduleOptions schedule;  // train() fills in `steps`
  LossReduction reduction = LossReduction::kMean;
  Initialization initialization;
  std::int64_t chunk_rows = 0;  // rows of logits in memory at a time; 0: as suits the device
  std::uint64_t seed = 1111;
  /// Parts of a batch whose gradients and losses are added up in a fixed order. Results depend on
  /// it, but not on how many ranks share the shards.
  std::int64_t shards = 1;

  std::int64_t eval_interval = 0;  // steps between validations within an epoch; 0: none
  std::int64_t patience = 0;       // stop after so many validations without a gain; 0: never
  OnDivergence on_divergence = OnDivergence::kStop;
  /// A step with a larger loss is refused. 0: any finite loss is accepted. Not set: as the task
  /// says.
  std::optional<double> loss_ceiling;
  std::int64_t verify_every = 0;   // compute every so many steps twice, compare bits; 0: never
  bool overfit_one_batch = false;  // the first batch again and again, from a zero state

  std::filesystem::path run_dir;
  std::int64_t save_interval = 0;  // steps between checkpoints within an epoch; 0: none
  int keep = 2;                    // newest checkpoints, beside the best
  std::int64_t log_interval = 200;
  bool tensorboard = false;  // writes the metrics as TensorBoard's events, too
};

struct TrainingStatus {
  std::int64_t epoch, epochs, batch, batches;
  /// The running mean, about a second old at most. Reading it may make a GPU wait for the host.
  std::function<double()> loss;
  std::string unit;         // what is counted
  double items_per_second;  // since the last line of the log
  double seconds;           // of the run so far
  double seconds_left;      // as fast as since it began or went on, validations included
};

/// Receives what happens. Lines have no newline.
struct TrainingObserver {
  std::function<void(const std::string&)> log;   // the lines that people parse
  std::function<void(const std::string&)> note;  // other news
  std::function<void(const std::string&)> warn;
  std::function<void(const TrainingStatus&)> progress = {};  // after every step
  /// After each validation, with the parameters as they are. It may read them, but not change them.
  std::function<void(const std::shared_ptr<VariableStore>&)> validated = {};
  /// After each fifth epoch in a row whose validation was not the best, if patience does not end
  /// the run: how many there were.
  std::function<void(std::int64_t epochs)> not_improved = {};
};

struct TrainingResult {
  bool interrupted = false;  // `stop` was set; what follows is what there is so far
  bool stopped_early = false;
  Evaluation valid, test;  // of the best model; a count of 0: not measured
  std::int64_t best_epoch = 0, epoch = 0, steps = 0;
  std::int64_t skipped = 0;          // steps that were refused
  double seconds = 0;                // of training, over all parts of the run
  std::filesystem::path checkpoint;  // the best; if interrupted, the one to go on from
};

/// A key that the trainer adds to the training's description. Its value is the name of the
/// algorithm by which the backend computes the recurrent layers. The backend may have chosen it.
inline constexpr const char* kAlgorithmKey = "rnn_algorithm_used";
/// What older versions called it.
inline constexpr const char* kOldAlgorithmKey = "recurrent_algorithm";

struct TrainingRun {
  const Task& task;
  const TaskExamples& examples;
  TrainingOptions options;
  RunLock* lock;               // on options.run_dir; null on ranks other than 0
  RunDescription description;  // kAlgorithmKey is added to its training
  std::shared_ptr<Backend> backend;
  TrainingObserver observer;
  /// Loaded with its state. Model and state are freed once they are restored.
  Checkpoint* resume = nullptr;
  /// A new run begins with the parameters of this model. Its task may differ from the run's only
  /// where that does not matter to parameters.
  const Checkpoint* initial = nullptr;
  /// Settings that differ from those of the checkpoint, for the metrics: {"lr": {"from": 20, "to":
  /// 5}}. If there are any, a checkpoint with the new ones replaces it at once. A new "lr" is the
  /// rate of the schedule from here on: what a plateau or a rollback divided it by is forgotten.
  nlohmann::ordered_json changes = {};
  const std::atomic<bool>* stop = nullptr;  // set: finish the step, save, return
  /// A run that begins removes what an earlier one has left in its folder, once it is sure that
  /// there is memory and room.
  bool overwrite = false;
  /// Several ranks train one model, and each has a run like this. Rank 0 reads and writes; only
  /// its observer hears lines worth reading. Null: there is one rank.
  Communicator* communicator = nullptr;
  DeviceExchange* exchange = nullptr;  // of this rank's device; null: through the host
};

/// Trains, from the start, with the parameters of `run.initial`, or from `run.resume`, with a line
/// for every interval and epoch. Errors    std::runtime_error if a file cannot be written, the run
/// folder is moved or replaced,
///           the data are overwritten, a step needs more memory than there is, training diverged,
///           or a step computed twice gave different bits; std::invalid_argument if an option is
///           out of its range, or there are more ranks than shards or more shards than rows of a
///           batch; RankFailure.
TrainingResult train(const TrainingRun& run);

}  // namespace unroll
