/// One step of training: a batch in, a loss out, and whether the parameters were changed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/data/batch_queue.h"
#include "host/models/language_model.h"
#include "host/train/training_state.h"
#include "unroll/session.h"

namespace unroll {

struct StepOutcome {
  double loss = 0;       // nats per token, before the update
  bool applied = false;  // the update was made
};

struct TrainingMemory {  // bytes
  std::int64_t parameters = 0;
  std::int64_t variables = 0;  // the parameters among them
  std::int64_t working = 0;    // gradients, activations, scratch
};

/// Owns the variables, the training graph and its session.
class TrainingStep {
 public:
  TrainingStep(const LanguageModelConfig& config, const TrainingGraph::Options& options,
               std::shared_ptr<Backend> backend, std::uint64_t seed);

  const std::shared_ptr<VariableStore>& store() const { return store_; }
  /// Batches run so far; keys the random numbers.
  std::int64_t count() const { return session_.step(); }
  void set_count(std::int64_t count) { session_.set_step(count); }

  /// What a checkpoint needs beside the parameters: all other variables of the graph.
  std::vector<std::string> state_variables() const;

  /// Takes the memory for batches of that many timesteps.
  TrainingMemory prepare(std::int64_t steps);

  /// Refuses the update if the loss is above `loss_limit`, or anything is not finite.
  StepOutcome run(const Batch& batch, double learning_rate, double loss_limit);

  /// Runs the step twice from the same state.
  /// Errors    std::runtime_error if the two leave different bits.
  StepOutcome run_verified(const Batch& batch, double learning_rate, double loss_limit);

  /// Of the last step, before clipping.
  double gradient_norm() const;
  /// The first parameter that the last step's backward pass reached with a gradient that is not
  /// finite; empty if there is none.
  std::string culprit() const;

  /// The carried hidden state becomes zero.
  void clear_carried_state();

 private:
  std::array<Feed, 2> feeds(std::span<const std::int32_t> inputs,
                            std::span<const std::int32_t> targets, std::int64_t steps) const;
  void write_scalar(const char* name, double value);
  std::int64_t updates() const;  // applied so far

  LanguageModelConfig config_;
  TrainingGraph::Options options_;
  std::shared_ptr<VariableStore> store_;
  TrainingGraph graph_;
  Session session_;
  std::vector<Tensor> fetches_;
};

}  // namespace unroll
