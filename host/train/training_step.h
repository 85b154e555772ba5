/// One step of training on a batch. Counters and statistics on the device say what it did.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/data/examples.h"
#include "host/models/checkpoint.h"
#include "host/models/sharded_training.h"
#include "host/models/task.h"
#include "host/parallel/communicator.h"
#include "host/parallel/device_exchange.h"
#include "host/train/training_state.h"
#include "unroll/session.h"

namespace unroll {

struct TrainingMemory {  // bytes
  std::int64_t parameters = 0;
  std::int64_t variables = 0;  // the parameters among them
  std::int64_t working = 0;    // gradients, activations, scratch
};

/// How a batch is cut and who holds the parts.
struct StepShards {
  std::int64_t shards = 1;
  Communicator* communicator = nullptr;  // null: one rank holds them all
  DeviceExchange* exchange = nullptr;    // of this rank's device; null: through the host
};

/// Owns the variables, the training graphs and their sessions. With several ranks, every function
/// that runs a step, shares or gathers variables is collective.
class TrainingStep {
 public:
  struct Parts {
    const Task& task;  // must outlive the step
    std::shared_ptr<Backend> backend;
    std::uint64_t seed = 0;
    StepShards shards = {};
  };
  TrainingStep(const Parts& parts, const TrainingGraphOptions& options);
  ~TrainingStep();

  const std::shared_ptr<VariableStore>& store() const { return store_; }
  /// Batches run so far; keys the random numbers.
  std::int64_t count() const { return session_.step(); }
  void set_count(std::int64_t count) { session_.set_step(count); }

  /// What a checkpoint needs beside the parameters: all other variables of the graphs.
  std::vector<std::string> state_variables() const;

  /// The memory that a step on a batch of these shapes takes.
  TrainingMemory memory(const Batch& largest);
  /// Allocates it.
  void prepare(const Batch& largest);

  /// Queues the step. With several ranks, waits for all of them to have come here, and for their
  /// gradients if these come through the host; `stop` is whether this rank was asked to stop.
  /// Errors    RankFailure.
  void run(const Batch& batch, double learning_rate, bool stop = false);
  /// Whether any rank was asked to stop before the last step: all know it after the same one.
  bool stop_agreed() const { return stop_agreed_; }

  /// Runs the step twice from the same state.
  /// Errors    std::runtime_error if the two leave different bits.
  void run_verified(const Batch& batch, double learning_rate, bool stop = false);

  // What the steps so far have done; reading waits for them. Errors: those of
  // DeviceExchange::require_sound().
  StepCounters counters() const;
  StepStatistics statistics() const;
  void write(const StepCounters& counters);
  void write(const StepStatistics& statistics);
  /// The parameter that StepCounters::culprit means; empty if it means none.
  std::string culprit(const StepCounters& counters) const;

  /// Parameters and state of a checkpoint; returns where its run was.
  /// Errors    as restore_parameters(), restore_state() and check_guard().
  Progress restore(const Checkpoint& checkpoint);
  /// Only the parameters. Errors: as restore_parameters().
  void begin_with(const Checkpoint& checkpoint);

  /// Gives all ranks the variables of rank 0.
  void share();
  /// Brings what the shards of other ranks carry to rank 0, for a checkpoint.
  void gather_carried();

  /// What goes on from batch to batch becomes zero.
  void clear_carried_state();

 private:
  struct Exchange;  // with other ranks

  const std::vector<Feed>& feeds(const Batch& batch);
  void write_rate(double learning_rate);
  void exchange_and_update(bool stop);
  std::vector<std::string> all_variables() const;

  const Task& task_;
  std::int64_t batch_;
  StepShards shards_;
  std::shared_ptr<VariableStore> store_;
  ShardedTraining graphs_;
  Session session_;
  std::vector<Tensor> fetches_;
  std::unique_ptr<Exchange> exchange_;  // null: one rank
  std::vector<Batch> parts_;            // of the shards of this rank
  float inverse_count_ = 1;
  std::vector<Feed> feeds_;  // of the last batch
  std::vector<Feed> shard_feeds_;
  std::optional<float> learning_rate_;  // in the variable, if that is known
  bool stop_agreed_ = false;
};

}  // namespace unroll
