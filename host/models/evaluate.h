/// Measures a model on examples.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/data/examples.h"
#include "host/models/evaluation.h"
#include "host/models/task.h"
#include "host/parallel/communicator.h"
#include "unroll/session.h"

namespace unroll {

struct EvaluatorOptions {
  const std::atomic<bool>* stop = nullptr;  // ends an evaluation when set, on any rank
  /// Rows of a batch are measured in so many shards, whose losses are added up in their order, and
  /// which ranks share.
  std::int64_t shards = 1;
  Communicator* communicator = nullptr;  // null: there is one rank
  /// Is told the losses of the targets, batch by batch. Only where there is one shard.
  std::function<void(std::span<const float>)> losses = {};
};

/// Goes through examples from start to end, and carries the state of each stream.
class Evaluator {
 public:
  /// The task and the communicator must outlive it.
  Evaluator(const Task& task, std::shared_ptr<VariableStore> store,
            const EvaluatorOptions& options = {});
  ~Evaluator();

  /// From the beginning of the first epoch, wherever the examples stand. Collective: all ranks have
  /// the same examples, and get the same result.
  /// Errors    as Examples::next(); Interrupted; RankFailure.
  Evaluation evaluate(Examples& examples);

 private:
  struct ShardSums;
  struct Pass;  // the graph for the rows of one shard
  /// The graphs of this rank's shards, for a batch size.
  void make_passes(std::int64_t batch);
  void stop_if_due();
  void add_up(Evaluation& result);

  const Task& task_;
  std::shared_ptr<VariableStore> store_;
  EvaluatorOptions options_;
  std::int64_t batch_ = 0;  // that passes_ are for
  std::vector<std::unique_ptr<Pass>> passes_;
  std::int64_t until_look_ = 0;  // batches until the ranks next ask whether to stop
};

/// The task's measures of it, after a look at the numbers.
/// Errors    std::runtime_error, with the name of the examples, if the loss or a measure is not
///           finite: the model's outputs are no numbers, or overflow.
std::vector<Measure> finite_measures(const Task& task, const Evaluation& evaluation,
                                     const std::string& examples);

}  // namespace unroll
