/// The products of a recurrent stack. Those of several cells that can be computed at the same time
/// are queued as one batched product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cuda/device/gemm.h"
#include "cuda/recurrent/stack_buffers.h"

namespace unroll::gpu {

/// Timesteps [first, first + count).
struct Timesteps {
  std::int64_t first, count;
};

class StackProducts {
 public:
  explicit StackProducts(const StackBuffers& buffers) : b_(buffers) {}

  /// gates = W x for the cells of one layer; with layer norm, n(W x).
  void multiply_inputs(const ForwardPass& pass, const Stage& layer, const Timesteps& steps) const;
  /// The same for the blocks that the layers of a wavefront have reached; the lowest layer has it
  /// already.
  void multiply_inputs(const ForwardPass& pass, const Stage& stage,
                       std::span<const CellStep> blocks) const;
  /// gates of a phase's slots += h_{t-1} R^T, or (r h_{t-1}) R^T.
  void multiply_states(const ForwardPass& pass, std::span<const CellStep> steps,
                       const cells::Phase& phase) const;

  /// dh += (dgates of a phase's slots) R, or dreset = (these) R. dh is replaced if nothing of it is
  /// carried, see carries().
  void multiply_gradients(const BackwardPass& pass, std::span<const CellStep> steps,
                          const cells::Phase& phase) const;
  /// dx of one layer, from all its directions.
  void input_gradients(const BackwardPass& pass, const Stage& layer, const Timesteps& steps) const;
  /// dx of the layers of a wavefront for the blocks that they have computed, except that of the
  /// lowest.
  void input_gradients(const BackwardPass& pass, const Stage& stage,
                       std::span<const CellStep> blocks) const;
  /// With a projection: W_hr m after the gates, and the gradient of m before the gates backward.
  void project(const ForwardPass& pass, std::span<const CellStep> steps) const;
  void project_gradients(const BackwardPass& pass, std::span<const CellStep> steps) const;
  /// The gradients of one cell's weights and biases, from all timesteps.
  void weight_gradients(const BackwardPass& pass, int index) const;

  /// The part of R's copy that feeds the slots from `slot` on.
  Matrix recurrent_weight(int index, int slot) const;

 private:
  /// Rows of gates [gate, gate + count), columns [column, column + columns) of a weight's gradient:
  /// dgates^T of slots [slot, slot + count), times `read`.
  struct WeightPart {
    int slot, count, gate;
    Matrix read;
    std::int64_t columns, column;
  };

  void normalize(const ForwardPass& pass, int index, const Timesteps& steps) const;
  void projection_gradient(const BackwardPass& pass, const CellBuffers& c, const View& to) const;
  void norm_gradients(const BackwardPass& pass, int index) const;
  Gemm input_product(const ForwardPass& pass, int index, const Timesteps& steps) const;
  Gemm input_gradient(const BackwardPass& pass, int index, const Timesteps& steps) const;
  void weight_ih_gradient(const BackwardPass& pass, const CellBuffers& c, const View& to) const;
  void weight_hh_gradient(const BackwardPass& pass, const CellBuffers& c, const View& to) const;
  void weight_gradient(const BackwardPass& pass, const CellBuffers& c, const WeightPart& part,
                       const View& to) const;
  /// The product make(step) of each cell.
  template <typename Make>
  void multiply_each(std::span<const CellStep> steps, const Make& make) const;
  void multiply(std::span<const Gemm> products) const;
  std::int64_t distance(const void* from, const void* to) const;

  const StackBuffers& b_;
};

}  // namespace unroll::gpu
