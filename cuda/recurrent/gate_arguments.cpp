#include "cuda/recurrent/gate_arguments.h"

namespace unroll::gpu {
namespace {

DropoutSite dropout_site(const StackBuffers& b, const CellBuffers& c, std::int64_t t) {
  const std::int64_t row = b.spec().output(c.layer);
  return {b.args().dropout_key + std::uint64_t(c.layer),
          t * b.batch() * row + c.direction * c.width, row};
}

/// What both passes read: h_{t-1} and the states.
template <typename Cell, typename Byte>
void set_states(Cell& cell, const StackBuffers& b, const CellBuffers& c, Byte* memory) {
  const std::int64_t t = cell.t;
  cell.h_prev = b.h_at(memory, c, c.before(t));
  if (!b.has_state()) return;
  cell.state_prev = b.state_at(memory, c, c.before(t));
  cell.state = b.state_at(memory, c, c.after(t));
}

}  // namespace

ForwardCell forward_cell(const StackBuffers& b, const ForwardPass& pass, const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  const std::int64_t t = step.t, row = t * b.batch();
  const auto layer = std::size_t(c.layer);
  ForwardCell f{};
  f.t = std::int32_t(t);
  f.gates = b.floats(pass.memory, c.gates, row * b.gate_row(c));
  f.bias = b.weights(step.cell).bias;
  f.h = b.h_at(pass.memory, c, c.after(t));
  set_states(f, b, c, pass.memory);
  if (b.program().has_reset()) f.reset_h = b.elements(pass.memory, c.reset_h, row * c.padded_width);
  if (!b.is_last(c.layer)) {
    const LayerBuffers& above = b.layer(c.layer + 1);
    f.above_row = above.input.padded_columns();
    if (above.copies_x)
      f.above = b.elements(pass.memory, above.x, row * f.above_row + c.direction * c.padded_width);
  } else if (pass.args.y) {
    f.y_row = b.spec().output();
    f.y = pass.args.y.as<float>() + row * f.y_row + c.direction * c.width;
  }
  if (t == b.last_step(c)) {
    f.h_n = b.given_state(pass.args.h_n[layer], c, c.width);
    if (b.program().has_c) f.c_n = b.given_state(pass.args.c_n[layer], c, c.units);
  }
  f.dropout = dropout_site(b, c, t);
  return f;
}

BackwardCell backward_cell(const StackBuffers& b, const BackwardPass& pass, const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  const std::int64_t t = step.t, row = t * b.batch();
  BackwardCell d{};
  d.t = std::int32_t(t);
  d.gates = b.floats(pass.memory, c.gates, row * b.gate_row(c));
  set_states(d, b, c, pass.memory);
  d.dgates = b.elements(pass.scratch, c.dgates, row * b.gate_row(c));
  d.dh = b.floats(pass.scratch, c.dh);
  if (b.program().has_c) d.dc = b.floats(pass.scratch, c.dc);
  if (b.program().has_reset()) d.dreset = b.floats(pass.scratch, c.dreset);
  if (!b.is_last(c.layer)) {
    const LayerBuffers& above = b.layer(c.layer + 1);
    d.dy_row = above.input.padded_columns();
    d.dy = b.floats(pass.scratch, above.dx, row * d.dy_row + c.direction * c.padded_width);
    d.dy_padded = true;
  } else if (pass.args.dy) {
    d.dy_row = b.spec().output();
    d.dy = pass.args.dy.as<float>() + row * d.dy_row + c.direction * c.width;
  }
  d.dropout = dropout_site(b, c, t);
  return d;
}

}  // namespace unroll::gpu
