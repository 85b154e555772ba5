/// Measures a model on examples.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/data/examples.h"
#include "host/models/evaluation.h"
#include "host/models/task.h"
#include "unroll/session.h"

namespace unroll {

/// Goes through examples from start to end, and carries the state of each stream.
class Evaluator {
 public:
  /// The task must outlive it. `stop` ends an evaluation when set.
  Evaluator(const Task& task, std::shared_ptr<VariableStore> store,
            const std::atomic<bool>* stop = nullptr);

  /// From the beginning of the first epoch, wherever the examples stand.
  /// Errors    as Examples::next(); Interrupted.
  Evaluation evaluate(Examples& examples);

 private:
  /// The graph for a batch size; the one for the last is kept.
  struct Pass {
    std::int64_t batch;
    std::unique_ptr<EvaluationGraph> graph;
    Session session;

    Pass(const Task& task, const std::shared_ptr<VariableStore>& store, std::int64_t batch);
  };

  const Task& task_;
  std::shared_ptr<VariableStore> store_;
  const std::atomic<bool>* stop_;
  std::unique_ptr<Pass> pass_;
};

/// The task's measures of it, after a look at the numbers.
/// Errors    std::runtime_error, with the name of the examples, if the loss or a measure is not
///           finite: the model's outputs are no numbers, or overflow.
std::vector<Measure> finite_measures(const Task& task, const Evaluation& evaluation,
                                     const std::string& examples);

}  // namespace unroll
