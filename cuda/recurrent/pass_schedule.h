/// How one pass over a recurrent stack advances in time. Our algorithms differ only in this: what
/// surrounds it, and the contents of the buffers, are the same.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/recurrent/stack_buffers.h"
#include "cuda/recurrent/wavefront.h"

namespace unroll::gpu {

class PassSchedule {
 public:
  explicit PassSchedule(std::vector<Stage> stages) : stages_(std::move(stages)) {}
  virtual ~PassSchedule() = default;

  /// In the order of the forward pass.
  const std::vector<Stage>& stages() const { return stages_; }
  /// Whether products of several cells are queued as one batched product.
  bool has_batches() const {
    return std::ranges::any_of(stages_, [](const Stage& stage) { return stage.count > 1; });
  }

  /// All timesteps of a stage's cells. Before, the initial states are in place, and the gates of
  /// its lowest layer hold W x.
  virtual void forward(const ForwardPass& pass, const Stage& stage) const = 0;
  /// The same backward. Before, dh and dc hold the gradients of the last states, and dx of the
  /// layer above is computed. Afterwards dgates are complete, dh and dc hold the gradients of the
  /// initial states, and dx is computed except that of the lowest layer.
  virtual void backward(const BackwardPass& pass, const Stage& stage) const = 0;

 private:
  std::vector<Stage> stages_;
};

}  // namespace unroll::gpu
