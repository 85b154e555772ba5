/// What is learned, from the graph to what a checkpoint says: the trainer, checkpoints and commands
/// know nothing else of a model. docs/architecture.md: "A new task".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/base/safetensors.h"
#include "host/models/decoder.h"
#include "host/models/evaluation.h"
#include "host/models/initialization.h"
#include "unroll/graph.h"
#include "unroll/optimizer.h"
#include "unroll/session.h"

namespace unroll {

struct Checkpoint;

/// One optimiser step on a batch.
struct TrainingGraph {
  Graph graph;
  std::vector<Tensor> inputs;        // placeholders, as a batch's columns
  Tensor step;                       // runs it all
  std::vector<std::string> carried;  // variables with what goes on from batch to batch
};

/// The losses of a batch, without dropout.
struct EvaluationGraph {
  Graph graph;
  std::vector<Tensor> inputs;
  Tensor loss;                  // [M]; 0 where a row counts for nothing
  Tensor hit;                   // [M], or empty
  std::vector<Tensor> fetches;  // these, and the step to the next state
  std::vector<std::string> carried;
};

struct TrainingGraphOptions {
  std::int64_t batch;
  OptimizerSpec optimizer;
  double learning_rate;
  LossReduction reduction = LossReduction::kMean;
  LossGuardSpec guard;  // of the mean loss
  std::int64_t chunk_rows = 0;
  Initialization initialization;
};

/// What lies beside the weights.
struct TaskFiles {
  std::optional<std::string> vocabulary;  // vocab.txt
  std::map<std::string, std::string> others;
};

/// Immutable.
class Task {
 public:
  virtual ~Task() = default;

  /// What config.json and a user call it.
  virtual std::string name() const = 0;
  /// The version of what it writes to config.json.
  virtual int version() const = 0;

  // The model.
  /// Names and shapes of the parameters, in the order of a PyTorch state_dict.
  virtual std::vector<VariableInfo> parameters() const = 0;
  /// Further tensors of model.safetensors, each equal to a parameter: (name, parameter).
  virtual std::vector<std::pair<std::string, std::string>> copies() const { return {}; }
  /// Bytes of the parameters' gradients: that of a table which is only looked up in is a few rows,
  /// and is left out.
  virtual std::int64_t gradient_bytes() const = 0;
  /// A line for people.
  virtual std::string describe() const = 0;

  // Its graphs.
  virtual std::unique_ptr<TrainingGraph> training_graph(
      const TrainingGraphOptions& options) const = 0;
  /// `name` is the beginning of the names of carried variables.
  virtual std::unique_ptr<EvaluationGraph> evaluation_graph(std::int64_t batch,
                                                            const std::string& name) const = 0;
  /// What the variables' own initialisation leaves to do.
  virtual void initialize(const Initialization& how, VariableStore& store) const = 0;

  // What is measured. The best model is that of the least loss.
  /// What is counted: "tokens".
  virtual std::string unit() const = 0;
  /// A little more than twice the loss of a model that knows nothing: more is divergence.
  virtual double loss_ceiling() const = 0;
  virtual std::vector<Measure> measures(const Evaluation& evaluation) const = 0;

  // Its files.
  /// The members of config.json: `model` and what else the task needs.
  virtual nlohmann::json to_json() const = 0;
  virtual TaskFiles files() const = 0;
  /// The metadata of model.safetensors.
  virtual TensorMetadata metadata() const = 0;

 protected:
  Task() = default;
  Task(const Task&) = default;
  Task& operator=(const Task&) = default;
};

/// The variables of a graph that declares nothing but parameters.
std::vector<VariableInfo> variables_of(const Graph& graph);

/// Numbers in the parameters; those of a tensor that is used twice count once.
std::int64_t parameter_count(const Task& task);

/// The `task` member of config.json.
nlohmann::json task_to_json(const Task& task);

/// The task of a checkpoint, as its config.json says. One without a task is a language model's.
/// Errors    std::runtime_error if the task is unknown or of a newer version, or the configuration
///           or a file is not one of its own.
std::shared_ptr<const Task> read_task(const Checkpoint& checkpoint);

/// The parameters that a checkpoint's config.json describes, whose other files need not be read
/// yet. Errors    std::runtime_error as read_task().
std::vector<VariableInfo> model_parameters(const Checkpoint& checkpoint);

}  // namespace unroll
