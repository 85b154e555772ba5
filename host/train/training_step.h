/// One step of training on a batch. Counters and statistics on the device say what it did.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/data/examples.h"
#include "host/models/checkpoint.h"
#include "host/models/task.h"
#include "host/train/training_state.h"
#include "unroll/session.h"

namespace unroll {

struct TrainingMemory {  // bytes
  std::int64_t parameters = 0;
  std::int64_t variables = 0;  // the parameters among them
  std::int64_t working = 0;    // gradients, activations, scratch
};

/// Owns the variables, the training graph and its session.
class TrainingStep {
 public:
  /// The task must outlive it.
  TrainingStep(const Task& task, const TrainingGraphOptions& options,
               std::shared_ptr<Backend> backend, std::uint64_t seed);

  const std::shared_ptr<VariableStore>& store() const { return store_; }
  /// Batches run so far; keys the random numbers.
  std::int64_t count() const { return session_.step(); }
  void set_count(std::int64_t count) { session_.set_step(count); }

  /// What a checkpoint needs beside the parameters: all other variables of the graph.
  std::vector<std::string> state_variables() const;

  /// The memory that a step on a batch of these shapes takes.
  TrainingMemory memory(const Batch& largest);
  /// Allocates it.
  void prepare(const Batch& largest);

  /// Queues the step and does not wait for it.
  void run(const Batch& batch, double learning_rate);

  /// Runs the step twice from the same state.
  /// Errors    std::runtime_error if the two leave different bits.
  void run_verified(const Batch& batch, double learning_rate);

  // What the steps so far have done; reading waits for them.
  StepCounters counters() const;
  StepStatistics statistics() const;
  void write(const StepCounters& counters);
  void write(const StepStatistics& statistics);
  /// The parameter that StepCounters::culprit means; empty if it means none.
  std::string culprit(const StepCounters& counters) const;

  /// Parameters and state of a checkpoint; returns where its run was.
  /// Errors    as restore_parameters(), restore_state() and check_guard().
  Progress restore(const Checkpoint& checkpoint);

  /// What goes on from batch to batch becomes zero.
  void clear_carried_state();

 private:
  const std::vector<Feed>& feeds(const Batch& batch);

  const Task& task_;
  std::shared_ptr<VariableStore> store_;
  std::unique_ptr<TrainingGraph> graph_;
  Session session_;
  std::vector<Tensor> fetches_;
  std::vector<Feed> feeds_;             // of the last batch
  std::optional<float> learning_rate_;  // in the variable, if that is known
};

}  // namespace unroll
