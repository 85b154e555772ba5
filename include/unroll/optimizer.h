/// Optimisers: minimize(cost) adds one operation to the graph that does a whole training step.
///
/// A step whose loss or gradient norm is not finite, or whose loss is above the ceiling, changes no
/// parameter and is counted. Everything that changes from step to step lives in variables on the
/// device.
#pragma once

#include <vector>

#include "unroll/gradients.h"
#include "unroll/graph.h"
#include "unroll/math/loss_guard.h"
#include "unroll/optimizer_spec.h"

namespace unroll {

struct MinimizeOptions {
  /// What is trained; empty: all trainable variables of cost's graph. Those on which cost does not
  /// depend stay as they are.
  std::vector<Tensor> variables = {};
  /// The loss that the guard looks at: one element; empty: the cost. A cost that is a sum over the
  /// batch needs a mean here, since only means of different batches can be compared.
  Tensor loss = {};
  /// When a step is refused. Its ceiling has the loss's units.
  LossGuardSpec guard = {};
};

/// A variable and the gradient of a cost with respect to it.
struct VariableGradient {
  Tensor variable;
  Gradient gradient;
};

class Optimizer {
 public:
  /// Errors    std::invalid_argument if a number is not finite or out of its range.
  Optimizer(const OptimizerSpec& spec, double learning_rate);

  /// Adds the operation that trains; fetch it to take a step.
  /// Shapes    cost has one element.
  /// Errors    std::invalid_argument if it has not, or if a variable belongs to another graph.
  Tensor minimize(Tensor cost, const MinimizeOptions& options = {}) const;

  /// The same for gradients that are there: sums over several parts of a batch, for example. `loss`
  /// is what the guard looks at.
  /// Shapes    loss has one element.
  /// Errors    std::invalid_argument if it has not, if no variable has a gradient, or if anything
  /// is
  ///           not float32.
  Tensor apply(const std::vector<VariableGradient>& gradients, Tensor loss,
               const LossGuardSpec& guard = {}) const;

  // Variables that both add, by their names in the store. Write the first to change the
  // learning rate, read the others to see how training goes.
  static constexpr const char* kLearningRate = "optimizer/learning_rate";  // [1]
  static constexpr const char* kCounters = "optimizer/counters";      // [5] int64: StepCounters
  static constexpr const char* kStatistics = "optimizer/statistics";  // [9]: StepStatistics

 private:
  OptimizerSpec spec_;
  double learning_rate_;
};

/// Plain gradient descent: p -= learning_rate g.
class GradientDescentOptimizer : public Optimizer {
 public:
  explicit GradientDescentOptimizer(double learning_rate)
      : Optimizer({.kind = OptimizerKind::kSgd}, learning_rate) {}
};

/// Adam with its usual numbers, see OptimizerSpec.
/// Source    Kingma & Ba 2015.
class AdamOptimizer : public Optimizer {
 public:
  explicit AdamOptimizer(double learning_rate)
      : Optimizer({.kind = OptimizerKind::kAdam}, learning_rate) {}
};

}  // namespace unroll
