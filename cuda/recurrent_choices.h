/// What the algorithm auto has chosen so far, and what later plans make of it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

/// The choices, one for each stack and batch. Sequences of another length, with lengths or without,
/// do not lead to a new one.
class RecurrentChoices {
 public:
  /// What was chosen for such a plan; null if nothing was. Inference also takes the choice for
  /// another batch, the last one.
  const StackAlgorithm* find(const RecurrentArgs& args) const;
  /// Null before the first.
  const StackAlgorithm* last() const {
    return choices_.empty() ? nullptr : &choices_.back().algorithm;
  }
  /// `args`: of a plan for training, for which find() found nothing.
  void add(const RecurrentArgs& args, const StackAlgorithm& algorithm);

 private:
  struct Choice {
    RecurrentSpec spec;  // without dropout, which changes little
    std::int64_t batch;
    StackAlgorithm algorithm;
  };

  std::vector<Choice> choices_;
};

/// Whether a pass of a plan can be computed so.
using CanTake = std::function<bool(const PassAlgorithm& pass, bool backward)>;

/// `chosen`, but stepwise in each pass of the plan that cannot be computed so.
StackAlgorithm or_stepwise(const StackAlgorithm& chosen, const RecurrentArgs& args,
                           const CanTake& can_take);

}  // namespace unroll::gpu
