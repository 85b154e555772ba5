/// The stepwise algorithm: a few kernels for each timestep, for all cells that can advance at the
/// same time.
#pragma once

#include <cstdint>
#include <span>

#include "cuda/recurrent/pass_schedule.h"
#include "cuda/recurrent/stack_products.h"

namespace unroll::gpu {

class Stepwise final : public PassSchedule {
 public:
  /// `block`: timesteps of a wavefront's blocks (wavefront.h); 0: layer after layer.
  Stepwise(const StackBuffers& buffers, const StackProducts& products, std::int64_t block);

  void forward(const ForwardPass& pass, const Stage& stage) const override;
  void backward(const BackwardPass& pass, const Stage& stage) const override;

 private:
  void clear_slots_without_x(const ForwardPass& pass, const Stage& stage) const;
  void forward_step(const ForwardPass& pass, std::span<const CellStep> steps) const;
  void backward_step(const BackwardPass& pass, std::span<const CellStep> steps) const;
  void forward_gates(const ForwardPass& pass, std::span<const CellStep> steps, int phase) const;
  void backward_gates(const BackwardPass& pass, std::span<const CellStep> steps, int phase) const;
  void project(const ForwardPass& pass, std::span<const CellStep> steps) const;
  void project_gradients(const BackwardPass& pass, std::span<const CellStep> steps) const;
  template <typename Cell, typename Pass, typename Make>
  GateArgs<Cell> gate_args(const Pass& pass, std::span<const CellStep> steps,
                           const Make& make) const;

  const StackBuffers& buffers_;
  const StackProducts& products_;
};

}  // namespace unroll::gpu
