/// The persistent algorithm: one kernel for all timesteps of a layer (persistent.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/recurrent/pass_schedule.h"
#include "cuda/recurrent/persistent.h"
#include "cuda/recurrent/stack_products.h"

namespace unroll::gpu {

class PersistentSchedule final : public PassSchedule {
 public:
  /// For the pass `which`. Errors: see persistent_pass().
  PersistentSchedule(const StackBuffers& buffers, const StackProducts& products,
                     const WhichPass& which);

  void forward(const ForwardPass& pass, const Stage& stage) const override;
  void backward(const BackwardPass& pass, const Stage& stage) const override;

 private:
  struct Layer {
    PersistentPass pass;
    std::int64_t flags_at;
  };
  template <typename Cell, typename Args, typename Launch>
  void for_each_launch(const Stage& stage, const Args& args, const Launch& launch) const;
  CellMove cell_move(std::int32_t times, const CellBuffers& c, std::int64_t above_row,
                     std::int64_t output_row) const;

  const StackBuffers& buffers_;
  const StackProducts& products_;
  std::vector<Layer> layers_;
  std::shared_ptr<void> flags_;  // of all layers: the values persist from launch to launch
};

}  // namespace unroll::gpu
