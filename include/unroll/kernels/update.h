/// The optimiser step over all parameters at once.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "unroll/math/loss_guard.h"
#include "unroll/optimizer_spec.h"
#include "unroll/tensor.h"

namespace unroll {

/// One parameter and its gradient: a whole tensor, or, if sparse, rows as CoalesceRows left them,
/// of a tensor that is zero elsewhere. The result is the same either way.
struct ParameterUpdate {
  bool sparse = false;
  View parameter;  // in and out
  View gradient;   // parameter's shape, or [M, E] if sparse
  View ids;        // [M] int32 if sparse
  View slots[2];   // parameter's shape, in and out: momentum | s | m, v; unused ones empty
};

/// Copies of parameters in forms of the backend's own (packed, padded, another precision).
/// apply_gradients() writes them along with the parameters, so that no prepare() has to make them
/// anew.
class ParameterCopies {
 public:
  virtual ~ParameterCopies() = default;
  /// Called once for every apply_gradients() that was queued. Calls renew(), which gives the
  /// parameters new versions. What was a copy of the version before is then a copy of the new one.
  /// That holds for a refused step too, which leaves both as they were.
  virtual void renew(const std::function<void()>& renew) = 0;
};

/// One optimiser step over every parameter: joint norm, clipping, and, if math::guard_step() allows
/// it, update. A step whose loss or norm is not finite, or whose loss is above the ceiling, is
/// refused. Parameters and slots then keep their bits, and counters and statistics change only
/// where they describe refused steps, and in the norm.
struct ApplyGradients {
  OptimizerSpec spec;
  LossGuardSpec guard;
  View loss;           // [1]
  View learning_rate;  // [1]
  View counters;       // [5] int64 in and out: StepCounters
  View statistics;     // [9] in and out: StepStatistics
  std::span<const ParameterUpdate> parameters;
  View scratch;                       // apply_gradients_scratch_bytes(parameters)
  ParameterCopies* copies = nullptr;  // parameter_copies(parameters); null: none are written
};

class UpdateKernels {
 public:
  virtual ~UpdateKernels() = default;
  /// Reads only the shapes: memory may not be there yet.
  virtual std::size_t apply_gradients_scratch_bytes(
      std::span<const ParameterUpdate> parameters) const = 0;
  /// The copies of these parameters that prepare() has made by now; null if the backend has none.
  /// They must live as long as any capture, which holds their addresses.
  virtual std::unique_ptr<ParameterCopies> parameter_copies(
      std::span<const ParameterUpdate> parameters) = 0;
  virtual void apply_gradients(const ApplyGradients& args) = 0;
};

}  // namespace unroll
