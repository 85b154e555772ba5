/// Optimisers: minimize(cost) adds the training operation to the graph.
///
/// A step whose loss or gradient norm is not finite, or whose loss is above the ceiling, changes no
/// parameter and is counted. Everything that changes from step to step lives in variables on the
/// device.
#pragma once

#include <span>

#include "unroll/backend.h"
#include "unroll/graph.h"

namespace unroll {

/// What decides whether a step is applied.
struct MinimizeOptions {
  /// One element, in the units of the guard's ceiling, where that is not the cost itself: a cost
  /// may be a sum, but only means of different batches can be compared.
  Tensor loss = {};
  LossGuardSpec guard = {};
};

class Optimizer {
 public:
  /// Throws std::invalid_argument if a hyperparameter is not finite or out of its range.
  Optimizer(const OptimizerSpec& spec, double learning_rate);

  /// The training operation for all trainable variables of cost's graph, or for `variables`.
  /// Variables on which cost does not depend are left alone.
  Tensor minimize(Tensor cost, const MinimizeOptions& options = {}) const;
  Tensor minimize(Tensor cost, std::span<const Tensor> variables,
                  const MinimizeOptions& options = {}) const;

  // Variables that minimize() adds; a store knows them by these names.
  static constexpr const char* kLearningRate = "optimizer/learning_rate";  // [1]
  static constexpr const char* kCounters = "optimizer/counters";      // [5] int64: StepCounters
  static constexpr const char* kStatistics = "optimizer/statistics";  // [9]: StepStatistics

 private:
  OptimizerSpec spec_;
  double learning_rate_;
};

/// p -= learning_rate g
class GradientDescentOptimizer : public Optimizer {
 public:
  explicit GradientDescentOptimizer(double learning_rate)
      : Optimizer({.kind = OptimizerKind::kSgd}, learning_rate) {}
};

/// Kingma & Ba 2015.
class AdamOptimizer : public Optimizer {
 public:
  explicit AdamOptimizer(double learning_rate)
      : Optimizer({.kind = OptimizerKind::kAdam}, learning_rate) {}
};

}  // namespace unroll
