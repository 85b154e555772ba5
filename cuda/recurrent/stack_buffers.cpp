#include "cuda/recurrent/stack_buffers.h"

#include "cuda/device/memory_layout.h"
#include "unroll/cells/table.h"

namespace unroll::gpu {

StackBuffers::StackBuffers(Device& device, const RecurrentArgs& args)
    : device_(device), args_(args), program_(cells::program_of(args.spec)) {
  const RecurrentSpec& spec = args_.spec;
  for (int layer = 0; layer < spec.layers(); ++layer) {
    const LayerInput input = layer_input(spec, args_.input, layer);
    const bool in_place = layer == 0 ? device_.element() == Element::kFloat32 && !input.is_padded()
                                     : spec.directions == 1 && spec.dropout == 0;
    layers_.push_back({input, !in_place});
    const std::int64_t units = spec.units(layer), width = spec.width(layer);
    for (int direction = 0; direction < spec.directions; ++direction)
      cells_.push_back({layer, direction, units, padded(units), width, padded(width)});
  }
  lay_out_forward();
  lay_out_backward();
}

/// All buffers of one kind are adjacent: neighbouring cells of one size are then evenly spaced, as
/// batched products require.
void StackBuffers::lay_out_forward() {
  const std::int64_t with_initial = rows() + args_.batch;
  MemoryLayout layout;
  for (CellBuffers& c : cells_) c.gates = layout.take(rows() * gate_row(c), sizeof(float));
  for (CellBuffers& c : cells_) c.h = layout.take(with_initial * c.padded_width, element_bytes());
  if (has_state())
    for (CellBuffers& c : cells_) c.state = layout.take(with_initial * c.padded, sizeof(float));
  if (program_.has_reset())
    for (CellBuffers& c : cells_) c.reset_h = layout.take(rows() * c.padded_width, element_bytes());
  if (has_projection()) {
    for (CellBuffers& c : cells_) c.output = layout.take(rows() * c.padded, element_bytes());
    for (CellBuffers& c : cells_)
      c.projected = layout.take(args_.batch * c.padded_width, sizeof(float));
  }
  if (program_.is_normalised)
    for (CellBuffers& c : cells_) {
      c.c_normal = layout.take(rows() * c.padded, sizeof(float));
      c.scales = layout.take(rows() * cells::kNormScales, sizeof(float));
    }
  for (LayerBuffers& layer : layers_)
    if (layer.copies_x)
      layer.x = layout.take(rows() * layer.input.padded_columns(), element_bytes());
  forward_bytes_ = layout.bytes();
}

void StackBuffers::lay_out_backward() {
  const std::int64_t n = args_.batch;
  MemoryLayout layout;
  for (CellBuffers& c : cells_) c.dgates = layout.take(rows() * gate_row(c), element_bytes());
  for (CellBuffers& c : cells_) c.dh = layout.take(n * c.padded_width, sizeof(float));
  if (program_.has_c)
    for (CellBuffers& c : cells_) c.dc = layout.take(n * c.padded, sizeof(float));
  if (program_.has_reset())
    for (CellBuffers& c : cells_) c.dreset = layout.take(n * c.padded_width, sizeof(float));
  if (has_projection()) {
    for (CellBuffers& c : cells_)
      c.dprojected = layout.take(rows() * c.padded_width, element_bytes());
    for (CellBuffers& c : cells_) c.doutput = layout.take(n * c.padded, sizeof(float));
  }
  if (program_.is_normalised)
    for (CellBuffers& c : cells_) c.dc_scaled = layout.take(rows() * c.padded, sizeof(float));
  for (std::size_t layer = 1; layer < layers_.size(); ++layer)
    layers_[layer].dx = layout.take(rows() * layers_[layer].input.padded_columns(), sizeof(float));
  backward_bytes_ = layout.bytes();
}

Matrix StackBuffers::layer_x(const View& x, const std::byte* memory, int index) const {
  const LayerBuffers& plan = layer(index);
  if (plan.copies_x) return {memory + plan.x, plan.input.padded_columns()};
  if (index == 0) return {x.data, args_.input};
  const CellBuffers& below = cell(index - 1);  // one direction of it
  return {h_at(memory, below, 1), below.padded_width};
}

void StackBuffers::start_states(const ForwardPass& pass, const Stage& stage) const {
  for (int k = 0; has_projection() && args_.has_lengths && k < stage.count; ++k) {
    // What is projected is zero past a sequence's end.
    const CellBuffers& c = cell(stage.first + k);
    UNROLL_CUDA_CHECK(cudaMemsetAsync(elements(pass.memory, c.output), 0,
                                      std::size_t(rows() * c.padded) * element_bytes(), stream()));
  }
  StateCopies copies = copies_of(kH, stage);
  for (int k = 0; k < stage.count; ++k) {
    const CellBuffers& c = cell(stage.first + k);
    const std::int64_t place = c.before(first_step(c));
    copies.cell[k] = {given_state(pass.args.h0[std::size_t(c.layer)], c, c.width),
                      h_at(pass.memory, c, place),
                      has_state() && !program_.has_c ? state_at(pass.memory, c, place) : nullptr};
  }
  pad_states(stream(), device_.element(), copies);
  if (!program_.has_c) return;
  copies = copies_of(kC, stage);
  for (int k = 0; k < stage.count; ++k) {
    const CellBuffers& c = cell(stage.first + k);
    copies.cell[k] = {given_state(pass.args.c0[std::size_t(c.layer)], c, c.units), nullptr,
                      state_at(pass.memory, c, c.before(first_step(c)))};
  }
  pad_states(stream(), device_.element(), copies);
}

void StackBuffers::start_gradients(const BackwardPass& pass, const Stage& stage) const {
  pad_states(stream(), Element::kFloat32, gradient_copies(kH, stage, pass.args.dh_n, pass.scratch));
  if (program_.has_c)
    pad_states(stream(), Element::kFloat32,
               gradient_copies(kC, stage, pass.args.dc_n, pass.scratch));
}

void StackBuffers::finish_gradients(const BackwardPass& pass, const Stage& stage) const {
  unpad_states(stream(), gradient_copies(kH, stage, pass.args.dh0, pass.scratch));
  if (program_.has_c)
    unpad_states(stream(), gradient_copies(kC, stage, pass.args.dc0, pass.scratch));
}

StateCopies StackBuffers::copies_of(const State& state, const Stage& stage) const {
  const CellBuffers& like = cell(stage.first);
  return {std::int32_t(args_.batch),
          std::int32_t(like.*state.width),
          std::int32_t(like.*state.padded),
          stage.count,
          {}};
}

StateCopies StackBuffers::gradient_copies(const State& state, const Stage& stage,
                                          std::span<const View> given, std::byte* scratch) const {
  StateCopies copies = copies_of(state, stage);
  for (int k = 0; k < stage.count; ++k) {
    const CellBuffers& c = cell(stage.first + k);
    copies.cell[k] = {
        given.empty() ? nullptr : given_state(given[std::size_t(c.layer)], c, c.*state.width),
        nullptr, floats(scratch, c.*state.gradient)};
  }
  return copies;
}

}  // namespace unroll::gpu
