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

/// What a graph has for some rows of a batch: from its columns to their part of the cost.
struct TrainingPart {
  std::vector<Tensor> inputs;             // placeholders, as a batch's columns
  Tensor cost;                            // [1] whose gradient is taken
  Tensor loss = {};                       // [1] that the guard looks at; empty: the cost
  std::vector<Tensor> carries = {};       // assignments of what goes on to the next batch
  std::vector<std::string> carried = {};  // variables that hold it
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
  std::int64_t lookups = 0;  // ids of the largest batch; 0: it has none, or that is unknown
  OptimizerSpec optimizer;
  double learning_rate;
  LossReduction reduction = LossReduction::kMean;
  LossGuardSpec guard;  // of the mean loss
  std::int64_t chunk_rows = 0;
  Initialization initialization;
};

struct TrainingPartOptions {
  std::int64_t batch;  // rows of this part
  LossReduction reduction = LossReduction::kMean;
  std::int64_t chunk_rows = 0;
  Initialization initialization = {};
  /// Begins the names of dropout's masks and of carried variables.
  std::string place = {};
  /// Both [1], for one part of several: the cost is the sum over the part's rows times `weight`.
  /// `inverse_count` is 1 / Batch::count of all parts together. Empty: the part is the whole batch.
  Tensor weight = {}, inverse_count = {};
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
  std::unique_ptr<TrainingGraph> training_graph(const TrainingGraphOptions& options) const;
  /// Adds the parameters, unless they are there, and the loss of some rows in training.
  virtual TrainingPart training_part(Graph& graph, const TrainingPartOptions& options) const = 0;
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
