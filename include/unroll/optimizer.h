/// Optimisers: minimize(cost) adds the training operation to the graph.
///
/// A step whose loss or gradient norm is not finite, or whose loss is above kLossLimit, changes no
/// parameter and is counted. Everything that changes from step to step lives in variables on the
/// device.
#pragma once

#include <span>

#include "unroll/backend.h"
#include "unroll/graph.h"

namespace unroll {

class Optimizer {
 public:
  /// Throws std::invalid_argument if a hyperparameter is not finite or out of its range.
  Optimizer(const OptimizerSpec& spec, double learning_rate);

  /// The training operation for all trainable variables of cost's graph, or for `variables`.
  /// Variables on which cost does not depend are left alone.
  Tensor minimize(Tensor cost) const;
  Tensor minimize(Tensor cost, std::span<const Tensor> variables) const;

  // Variables that minimize() adds; a store knows them by these names.
  static constexpr const char* kLearningRate = "optimizer/learning_rate";  // [1]
  static constexpr const char* kLossLimit = "optimizer/loss_limit";        // [1] infinity at first
  static constexpr const char* kUpdates = "optimizer/updates";     // [1] int64: steps applied
  static constexpr const char* kSkipped = "optimizer/skipped";     // [1] int64: steps that were not
  static constexpr const char* kNorm = "optimizer/gradient_norm";  // [1] before clipping
  /// [1] int64: among the variables that have a gradient, the first that the last step's backward
  /// pass reached with a gradient that is not finite; -1 if none.
  static constexpr const char* kCulprit = "optimizer/culprit";

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
