#include "cuda/recurrent/stack_products.h"

#include <algorithm>

#include "cuda/recurrent/gates.h"
#include "cuda/recurrent/layer_norm.h"
#include "cuda/recurrent/recurrent_kernels.h"

namespace unroll::gpu {

template <typename Make>
void StackProducts::multiply_each(std::span<const CellStep> steps, const Make& make) const {
  Gemm products[kMostCells];
  for (std::size_t k = 0; k < steps.size(); ++k) products[k] = make(steps[k]);
  multiply({products, steps.size()});
}

Gemm StackProducts::input_product(const ForwardPass& pass, int index,
                                  const Timesteps& steps) const {
  const CellBuffers& c = b_.cell(index);
  const Matrix x = b_.layer_x(pass.args.x, pass.memory, c.layer);
  const std::int64_t columns = b_.layer(c.layer).input.padded_columns();
  const std::int64_t row = steps.first * b_.batch(), gate_row = b_.gate_row(c);
  const cells::CellProgram& program = b_.program();
  return {.m = steps.count * b_.batch(),
          .n = program.gates * c.padded,
          .k = columns,
          .a = b_.elements(x.data, row * x.ld),
          .lda = x.ld,
          .transpose_a = false,
          .b = b_.weights(index).weight_ih,
          .ldb = columns,
          .transpose_b = true,
          .c = b_.floats(pass.memory, c.gates, row * gate_row + program.first_x * c.padded),
          .ldc = gate_row,
          .beta = 0,
          .element = b_.device().element()};
}

void StackProducts::multiply_inputs(const ForwardPass& pass, const Stage& layer,
                                    const Timesteps& steps) const {
  Gemm products[kMostCells];
  for (int k = 0; k < layer.count; ++k) products[k] = input_product(pass, layer.first + k, steps);
  multiply({products, std::size_t(layer.count)});
  for (int k = 0; k < layer.count; ++k) normalize(pass, layer.first + k, steps);
}

void StackProducts::multiply_inputs(const ForwardPass& pass, const Stage& stage,
                                    std::span<const CellStep> blocks) const {
  Gemm products[kMostCells];
  std::size_t count = 0;
  for (const CellStep& block : blocks)
    if (block.cell != stage.first)
      products[count++] = input_product(pass, block.cell, {block.t, stage.block_steps(block.t)});
  multiply({products, count});
  for (const CellStep& block : blocks)
    if (block.cell != stage.first)
      normalize(pass, block.cell, {block.t, stage.block_steps(block.t)});
}

/// What has become of W x in gates, if the cell has layer norm.
void StackProducts::normalize(const ForwardPass& pass, int index, const Timesteps& steps) const {
  if (!b_.program().is_normalised) return;
  const CellBuffers& c = b_.cell(index);
  const std::int64_t row = steps.first * b_.batch();
  normalize_inputs(b_.stream(), b_.program(),
                   {.gates = b_.floats(pass.memory, c.gates, row * b_.gate_row(c)),
                    .scales = b_.floats(pass.memory, c.scales, row * cells::kNormScales),
                    .rows = steps.count * b_.batch(),
                    .units = std::int32_t(c.units),
                    .padded = std::int32_t(c.padded)});
}

void StackProducts::project(const ForwardPass& pass, std::span<const CellStep> steps) const {
  multiply_each(steps, [&](const CellStep& step) -> Gemm {
    const CellBuffers& c = b_.cell(step.cell);
    return {.m = b_.batch(),
            .n = c.padded_width,
            .k = c.padded,
            .a = b_.elements(pass.memory, c.output, step.t * b_.batch() * c.padded),
            .lda = c.padded,
            .transpose_a = false,
            .b = b_.weights(step.cell).weight_hr,
            .ldb = c.padded,
            .transpose_b = true,
            .c = b_.floats(pass.memory, c.projected),
            .ldc = c.padded_width,
            .beta = 0,
            .element = b_.device().element()};
  });
}

void StackProducts::project_gradients(const BackwardPass& pass,
                                      std::span<const CellStep> steps) const {
  multiply_each(steps, [&](const CellStep& step) -> Gemm {
    const CellBuffers& c = b_.cell(step.cell);
    const std::int64_t row = step.t * b_.batch();
    return {.m = b_.batch(),
            .n = c.padded,
            .k = c.padded_width,
            .a = b_.elements(pass.scratch, c.dprojected, row * c.padded_width),
            .lda = c.padded_width,
            .transpose_a = false,
            .b = b_.weights(step.cell).weight_hr,
            .ldb = c.padded,
            .transpose_b = false,
            .c = b_.floats(pass.scratch, c.doutput),
            .ldc = c.padded,
            .beta = 0,
            .element = b_.device().element()};
  });
}

Matrix StackProducts::recurrent_weight(int index, int slot) const {
  const CellBuffers& c = b_.cell(index);
  return {b_.elements(b_.weights(index).weight_hh, slot * c.padded * c.padded_width),
          c.padded_width};
}

void StackProducts::multiply_states(const ForwardPass& pass, std::span<const CellStep> steps,
                                    const cells::Phase& phase) const {
  multiply_each(steps, [&](const CellStep& step) -> Gemm {
    const CellBuffers& c = b_.cell(step.cell);
    const std::int64_t t = step.t, row = t * b_.batch(), gate_row = b_.gate_row(c);
    const Matrix r = recurrent_weight(step.cell, phase.first);
    return {.m = b_.batch(),
            .n = phase.count * c.padded,
            .k = c.padded_width,
            .a = phase.of_reset ? b_.elements(pass.memory, c.reset_h, row * c.padded_width)
                                : b_.h_at(pass.memory, c, c.before(t)),
            .lda = c.padded_width,
            .transpose_a = false,
            .b = r.data,
            .ldb = r.ld,
            .transpose_b = true,
            .c = b_.floats(pass.memory, c.gates, row * gate_row + phase.first * c.padded),
            .ldc = gate_row,
            .beta = b_.program().is_normalised ? 0.0F : 1.0F,
            .element = b_.device().element()};
  });
}

void StackProducts::multiply_gradients(const BackwardPass& pass, std::span<const CellStep> steps,
                                       const cells::Phase& phase) const {
  const bool adds = !phase.of_reset && carries(b_.program(), b_.args().has_lengths);
  multiply_each(steps, [&](const CellStep& step) -> Gemm {
    const CellBuffers& c = b_.cell(step.cell);
    const std::int64_t row = step.t * b_.batch(), gate_row = b_.gate_row(c);
    const Matrix r = recurrent_weight(step.cell, phase.first);
    return {.m = b_.batch(),
            .n = c.padded_width,
            .k = phase.count * c.padded,
            .a = b_.elements(pass.scratch, c.dgates, row * gate_row + phase.first * c.padded),
            .lda = gate_row,
            .transpose_a = false,
            .b = r.data,
            .ldb = r.ld,
            .transpose_b = false,
            .c = b_.floats(pass.scratch, phase.of_reset ? c.dreset : c.dh),
            .ldc = c.padded_width,
            .beta = adds ? 1.0F : 0.0F,
            .element = b_.device().element()};
  });
}

Gemm StackProducts::input_gradient(const BackwardPass& pass, int index,
                                   const Timesteps& steps) const {
  const CellBuffers& c = b_.cell(index);
  const LayerBuffers& layer = b_.layer(c.layer);
  const std::int64_t columns = layer.input.padded_columns();
  const std::int64_t row = steps.first * b_.batch(), gate_row = b_.gate_row(c);
  // The caller's dx has no padding.
  const std::int64_t width = c.layer == 0 ? b_.args().input : columns;
  const cells::CellProgram& program = b_.program();
  return {.m = steps.count * b_.batch(),
          .n = width,
          .k = program.gates * c.padded,
          .a = b_.elements(pass.scratch, c.dgates, row * gate_row + program.first_x * c.padded),
          .lda = gate_row,
          .transpose_a = false,
          .b = b_.weights(index).weight_ih,
          .ldb = columns,
          .transpose_b = false,
          .c = c.layer == 0 ? pass.args.dx.as<float>() + row * width
                            : b_.floats(pass.scratch, layer.dx, row * width),
          .ldc = width,
          .beta = c.direction == 0 ? 0.0F : 1.0F,
          .element = b_.device().element()};
}

void StackProducts::input_gradients(const BackwardPass& pass, const Stage& layer,
                                    const Timesteps& steps) const {
  // In order: the second direction adds to the result of the first.
  for (int k = 0; k < layer.count; ++k)
    b_.device().multiply(input_gradient(pass, layer.first + k, steps));
}

void StackProducts::input_gradients(const BackwardPass& pass, const Stage& stage,
                                    std::span<const CellStep> blocks) const {
  Gemm products[kMostCells];
  std::size_t count = 0;
  for (const CellStep& block : blocks)
    if (block.cell != stage.first)
      products[count++] = input_gradient(pass, block.cell, {block.t, stage.block_steps(block.t)});
  multiply({products, count});
}

void StackProducts::weight_gradients(const BackwardPass& pass, int index) const {
  const CellBuffers& c = b_.cell(index);
  const RecurrentWeights& d = pass.args.dweights[std::size_t(index)];
  if (d.weight_ih) weight_ih_gradient(pass, c, d.weight_ih);
  if (d.weight_hh) weight_hh_gradient(pass, c, d.weight_hh);
  if (d.weight_hr) projection_gradient(pass, c, d.weight_hr);
  if (b_.program().is_normalised) norm_gradients(pass, index);
  if (d.bias_ih || d.bias_hh)
    bias_gradients(
        b_.stream(), b_.program(),
        {pass.scratch + c.dgates, b_.device().element(), b_.rows(), std::int32_t(c.units),
         std::int32_t(c.padded), d.bias_ih ? d.bias_ih.as<float>() : nullptr,
         d.bias_hh ? d.bias_hh.as<float>() : nullptr});
}

void StackProducts::projection_gradient(const BackwardPass& pass, const CellBuffers& c,
                                        const View& to) const {
  b_.device().multiply({.m = c.width,
                        .n = c.units,
                        .k = b_.rows(),
                        .a = b_.elements(pass.scratch, c.dprojected),
                        .lda = c.padded_width,
                        .transpose_a = true,
                        .b = b_.elements(pass.memory, c.output),
                        .ldb = c.padded,
                        .transpose_b = false,
                        .c = to.as<float>(),
                        .ldc = c.units,
                        .beta = 0,
                        .element = b_.device().element()});
}

void StackProducts::norm_gradients(const BackwardPass& pass, int index) const {
  const CellBuffers& c = b_.cell(index);
  const RecurrentWeights& d = pass.args.dweights[std::size_t(index)];
  const auto floats = [](const View& view) { return view ? view.as<float>() : nullptr; };
  gpu::norm_gradients(b_.stream(), b_.program(),
                      {.dgates = b_.elements(pass.scratch, c.dgates),
                       .element = b_.device().element(),
                       .gates = b_.floats(pass.memory, c.gates),
                       .dc_scaled = b_.floats(pass.scratch, c.dc_scaled),
                       .c_normal = b_.floats(pass.memory, c.c_normal),
                       .rows = b_.rows(),
                       .units = std::int32_t(c.units),
                       .padded = std::int32_t(c.padded),
                       .dgain_ih = floats(d.gain_ih),
                       .dgain_hh = floats(d.gain_hh),
                       .dgain_c = floats(d.gain_c),
                       .dbias_c = floats(d.bias_c)});
}

void StackProducts::weight_ih_gradient(const BackwardPass& pass, const CellBuffers& c,
                                       const View& to) const {
  const LayerInput& input = b_.layer(c.layer).input;
  const Matrix x = b_.layer_x(pass.args.x, pass.memory, c.layer);
  const cells::CellProgram& program = b_.program();
  // Adjacent blocks without padding are one.
  const std::int64_t blocks = input.is_padded() ? input.blocks : 1;
  for (std::int64_t block = 0; block < blocks; ++block)
    weight_gradient(pass, c,
                    {.slot = program.first_x,
                     .count = program.gates,
                     .gate = 0,
                     .read = {b_.elements(x.data, block * input.padded_width()), x.ld},
                     .columns = input.columns() / blocks,
                     .column = block * input.width},
                    to);
}

void StackProducts::weight_hh_gradient(const BackwardPass& pass, const CellBuffers& c,
                                       const View& to) const {
  const cells::CellProgram& program = b_.program();
  for (int p = 0; p < program.phase_count; ++p) {
    const cells::Phase& phase = program.phases[p];
    const void* const read =
        phase.of_reset ? b_.elements(pass.memory, c.reset_h) : b_.h_at(pass.memory, c, c.before(0));
    // One product for each run of gates that are neighbours in the weight, too.
    for (int k = 0, count = 0; k < phase.count; k += count) {
      const int gate = program.gate_of_h(phase, k);
      count = std::min(phase.count - k, program.gates - gate);
      weight_gradient(pass, c,
                      {.slot = phase.first + k,
                       .count = count,
                       .gate = gate,
                       .read = {read, c.padded_width},
                       .columns = c.width,
                       .column = 0},
                      to);
    }
  }
}

/// If there is padding between gates, each gate has its own product.
void StackProducts::weight_gradient(const BackwardPass& pass, const CellBuffers& c,
                                    const WeightPart& part, const View& to) const {
  const bool together = c.units == c.padded;
  const std::int64_t ld = to.shape[1];
  Gemm g{.m = together ? part.count * c.units : c.units,
         .n = part.columns,
         .k = b_.rows(),
         .a = b_.elements(pass.scratch, c.dgates, part.slot * c.padded),
         .lda = b_.gate_row(c),
         .transpose_a = true,
         .b = part.read.data,
         .ldb = part.read.ld,
         .transpose_b = false,
         .c = to.as<float>() + part.gate * c.units * ld + part.column,
         .ldc = ld,
         .beta = 0,
         .element = b_.device().element()};
  if (!together) {
    g.batch = part.count;
    g.stride_a = c.padded;
    g.stride_c = c.units * ld;
  }
  b_.device().multiply(g);
}

/// Queues those of equal shape with evenly spaced operands as one batched product.
void StackProducts::multiply(std::span<const Gemm> products) const {
  for (std::size_t first = 0; first < products.size();) {
    Gemm all = products[first];
    std::size_t end = first + 1;
    for (; end < products.size(); ++end) {
      const Gemm &g = products[end], &last = products[end - 1];
      if (g.m != all.m || g.n != all.n || g.k != all.k) break;
      const std::int64_t a = distance(last.a, g.a), b = distance(last.b, g.b);
      const std::int64_t c = (g.c - last.c);
      if (all.batch > 1 && (a != all.stride_a || b != all.stride_b || c != all.stride_c)) break;
      all.stride_a = a;
      all.stride_b = b;
      all.stride_c = c;
      ++all.batch;
    }
    b_.device().multiply(all);
    first = end;
  }
}

/// In elements.
std::int64_t StackProducts::distance(const void* from, const void* to) const {
  return (static_cast<const std::byte*>(to) - static_cast<const std::byte*>(from)) /
         std::int64_t(size_of(b_.device().element()));
}

}  // namespace unroll::gpu
