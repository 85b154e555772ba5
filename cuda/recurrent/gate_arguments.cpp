#include "cuda/recurrent/gate_arguments.h"

namespace unroll::gpu {
namespace {

DropoutSite dropout_site(const StackBuffers& b, const CellBuffers& c, std::int64_t t) {
  const std::int64_t row = b.spec().output(c.layer);
  return {b.args().dropout_key + std::uint64_t(c.layer),
          t * b.batch() * row + c.direction * c.width, row};
}

/// Where h_t of a step goes.
OutputSite output_site(const StackBuffers& b, const ForwardPass& pass, const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  const std::int64_t t = step.t, row = t * b.batch();
  OutputSite site{};
  site.t = std::int32_t(t);
  site.h_prev = b.h_at(pass.memory, c, c.before(t));
  site.h = b.h_at(pass.memory, c, c.after(t));
  if (!b.is_last(c.layer)) {
    const LayerBuffers& above = b.layer(c.layer + 1);
    site.above_row = above.input.padded_columns();
    if (above.copies_x)
      site.above =
          b.elements(pass.memory, above.x, row * site.above_row + c.direction * c.padded_width);
  } else if (pass.args.y) {
    site.y_row = b.spec().output();
    site.y = pass.args.y.as<float>() + row * site.y_row + c.direction * c.width;
  }
  if (t == b.last_step(c))
    site.h_n = b.given_state(pass.args.h_n[std::size_t(c.layer)], c, c.width);
  site.dropout = dropout_site(b, c, t);
  return site;
}

/// Where the gradient of h_t comes from.
GradientSite gradient_site(const StackBuffers& b, const BackwardPass& pass, const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  const std::int64_t row = step.t * b.batch();
  GradientSite site{};
  site.t = std::int32_t(step.t);
  site.dh = b.floats(pass.scratch, c.dh);
  if (!b.is_last(c.layer)) {
    const LayerBuffers& above = b.layer(c.layer + 1);
    site.dy_row = above.input.padded_columns();
    site.dy = b.floats(pass.scratch, above.dx, row * site.dy_row + c.direction * c.padded_width);
    site.dy_padded = true;
  } else if (pass.args.dy) {
    site.dy_row = b.spec().output();
    site.dy = pass.args.dy.as<float>() + row * site.dy_row + c.direction * c.width;
  }
  site.dropout = dropout_site(b, c, step.t);
  return site;
}

/// The states before and after the step. `Cell` is ForwardCell or BackwardCell.
template <typename Cell, typename Byte>
void set_states(Cell& cell, const StackBuffers& b, const CellBuffers& c, Byte* memory) {
  if (!b.has_state()) return;
  cell.state_prev = b.state_at(memory, c, c.before(cell.t));
  cell.state = b.state_at(memory, c, c.after(cell.t));
}

}  // namespace

ForwardCell forward_cell(const StackBuffers& b, const ForwardPass& pass, const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  const std::int64_t t = step.t, row = t * b.batch();
  ForwardCell f{};
  if (b.has_projection()) {
    f.t = std::int32_t(t);
    f.h_prev = f.h = b.elements(pass.memory, c.output, row * c.padded);
  } else {
    static_cast<OutputSite&>(f) = output_site(b, pass, step);
  }
  f.gates = b.floats(pass.memory, c.gates, row * b.gate_row(c));
  f.bias = b.weights(step.cell).bias;
  set_states(f, b, c, pass.memory);
  if (b.program().has_reset()) f.reset_h = b.elements(pass.memory, c.reset_h, row * c.padded_width);
  if (b.program().has_c && t == b.last_step(c))
    f.c_n = b.given_state(pass.args.c_n[std::size_t(c.layer)], c, c.units);
  return f;
}

BackwardCell backward_cell(const StackBuffers& b, const BackwardPass& pass, const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  const std::int64_t t = step.t, row = t * b.batch();
  BackwardCell d{};
  if (b.has_projection()) {
    d.t = std::int32_t(t);
    d.dh = b.floats(pass.scratch, c.doutput);
  } else {
    static_cast<GradientSite&>(d) = gradient_site(b, pass, step);
  }
  d.gates = b.floats(pass.memory, c.gates, row * b.gate_row(c));
  d.h_prev = b.h_at(pass.memory, c, c.before(t));
  set_states(d, b, c, pass.memory);
  d.dgates = b.elements(pass.scratch, c.dgates, row * b.gate_row(c));
  if (b.program().has_c) d.dc = b.floats(pass.scratch, c.dc);
  if (b.program().has_reset()) d.dreset = b.floats(pass.scratch, c.dreset);
  return d;
}

ProjectedCell projected_cell(const StackBuffers& b, const ForwardPass& pass, const CellStep& step) {
  return {output_site(b, pass, step), b.floats(pass.memory, b.cell(step.cell).projected)};
}

ProjectedGradient projected_gradient(const StackBuffers& b, const BackwardPass& pass,
                                     const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  return {gradient_site(b, pass, step),
          b.elements(pass.scratch, c.dprojected, step.t * b.batch() * c.padded_width)};
}

NormSite norm_site(const StackBuffers& b, const std::byte* memory, const RecurrentWeights& weights,
                   const CellStep& step) {
  const CellBuffers& c = b.cell(step.cell);
  const std::int64_t row = step.t * b.batch();
  auto* const writable = const_cast<std::byte*>(memory);  // only the forward pass writes
  return {weights.gain_ih.as<float>(),
          weights.gain_hh.as<float>(),
          weights.gain_c.as<float>(),
          weights.bias_c.as<float>(),
          b.floats(writable, c.c_normal, row * c.padded),
          b.floats(writable, c.scales, row * cells::kNormScales)};
}

}  // namespace unroll::gpu
