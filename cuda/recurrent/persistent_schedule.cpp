#include "cuda/recurrent/persistent_schedule.h"

#include "cuda/recurrent/gate_arguments.h"

namespace unroll::gpu {

PersistentSchedule::PersistentSchedule(const StackBuffers& buffers, const StackProducts& products,
                                       const WhichPass& which)
    : PassSchedule(stages_of(buffers.spec(), buffers.args().steps, 0)),
      buffers_(buffers),
      products_(products) {
  std::int64_t count = 0;
  for (int layer = 0; layer < buffers.spec().layers(); ++layer) {
    layers_.push_back({persistent_pass(buffers.device(), buffers.args(), layer, which), count});
    count += layers_.back().pass.flags();
  }
  const std::size_t bytes = std::size_t(count) * sizeof(std::uint32_t);
  flags_ = buffers.device().allocate(bytes);
  UNROLL_CUDA_CHECK(cudaMemsetAsync(flags_.get(), 0, bytes, buffers.stream()));
}

/// For each launch of a layer's cells: launch(first cell, common arguments, kernels).
template <typename Cell, typename Args, typename Launch>
void PersistentSchedule::for_each_launch(const Stage& stage, const Args& args,
                                         const Launch& launch) const {
  const CellBuffers& like = buffers_.cell(stage.first);
  const Layer& layer = layers_[std::size_t(like.layer)];
  const std::int32_t cells = layer.pass.cells;
  PersistentArgs<Cell> all{};
  static_cast<GateShape&>(all) = gate_shape(buffers_, args, like, std::size_t(cells));
  all.shape = layer.pass.shape;
  all.steps = std::int32_t(buffers_.args().steps);
  all.flags = static_cast<std::uint32_t*>(flags_.get()) + layer.flags_at;
  all.watch = buffers_.device().grid_watcher().watch();
  for (int first = stage.first; first < stage.first + stage.count; first += cells) {
    for (int k = 0; k < cells; ++k) all.weight[k] = products_.recurrent_weight(first + k, 0).data;
    launch(first, all, layer.pass.kernels);
  }
}

CellMove PersistentSchedule::cell_move(std::int32_t times, const CellBuffers& c,
                                       std::int64_t above_row, std::int64_t output_row) const {
  const std::int64_t rows = times * buffers_.batch();
  return {rows * c.padded, rows * above_row, rows * output_row,
          rows * buffers_.spec().output(c.layer), times};
}

void PersistentSchedule::forward(const ForwardPass& pass, const Stage& stage) const {
  for_each_launch<ForwardCell>(
      stage, pass.args,
      [&](int first, PersistentArgs<ForwardCell>& all, const PersistentKernels& kernels) {
        for (int k = 0; k < all.cells; ++k) {
          const CellBuffers& c = buffers_.cell(first + k);
          const auto layer = std::size_t(c.layer);
          ForwardCell& f = all.cell[k] =
              forward_cell(buffers_, pass, {first + k, buffers_.first_step(c)});
          f.h_n = buffers_.given_state(pass.args.h_n[layer], c, c.width);
          if (buffers_.program().has_c)
            f.c_n = buffers_.given_state(pass.args.c_n[layer], c, c.units);
          all.move[k] = cell_move(c.is_reverse() ? -1 : 1, c, f.above_row, f.y_row);
        }
        start_persistent(buffers_.stream(), kernels, all);
      });
}

void PersistentSchedule::backward(const BackwardPass& pass, const Stage& stage) const {
  for_each_launch<BackwardCell>(
      stage, pass.args,
      [&](int first, PersistentArgs<BackwardCell>& all, const PersistentKernels& kernels) {
        for (int k = 0; k < all.cells; ++k) {
          const CellBuffers& c = buffers_.cell(first + k);
          all.cell[k] = backward_cell(buffers_, pass, {first + k, buffers_.last_step(c)});
          all.move[k] = cell_move(c.is_reverse() ? 1 : -1, c, 0, all.cell[k].dy_row);
        }
        start_persistent(buffers_.stream(), kernels, all);
      });
}

}  // namespace unroll::gpu
