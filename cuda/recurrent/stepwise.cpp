/// A step of an LSTM forward, for N sequences at timestep t:
///
///   1. The product gates += h_{t-1} R^T. Before, gates, which are N rows of i, f, g, o with H
///      values each, held W x_t: one product has computed that for all timesteps of the layer, or
///      in a wavefront for a block of timesteps.
///   2. The gate kernel (gates.cu) adds the biases, activates i, f, g and o in place, and computes
///      c_t = f c_{t-1} + i g and h_t = o tanh(c_t). It stores c_t and h_t, and h_t also as the
///      layer's output and, after dropout, as the input of the layer above. The formulas are in
///      unroll/cells/lstm.h.
///
/// A step backward, from the last timestep to the first. The buffer dh holds what the step of t + 1
/// has left there, a part of the gradient of h_t:
///
///   1. The gate kernel adds the gradient of the layer's output to it. From the sum and from dc,
///   the
///      gradient of c_t, it computes those of the four sums (dgates) and of c_{t-1}, the next dc.
///   2. The product dh = dgates R is what this step leaves for t - 1. Where the kernel has left a
///      part of it in dh already, the product adds to that.
///
/// The gradients of W, R and the biases follow later, from the dgates of all timesteps at once, and
/// so does that of x, or in a wavefront block by block. A cell that reads the sequence backwards
/// goes from T - 1 to 0, and t + 1 and t - 1 change places.
///
/// With a projection, m_t = o tanh(c_t) and h_t = W_hr m_t: a product and a kernel follow the
/// gates, and come before them backward (projection.cu). With layer norm, the product of step 1
/// replaces what is in its slots, and other kernels take the place of the gate kernels
/// (layer_norm.cu).
///
/// Other cells differ in their programs (unroll/cells/program.h). Products and kernels come in
/// pairs, called phases: a GRU whose reset gate comes before the product has two in a timestep.
/// Each block of H values in a row of gates is a slot. Where sequences have different lengths, the
/// kernels let states and their gradients pass through the timesteps after a sequence's end.
///
/// Several cells can take a step together, all of the same size: the two directions of a layer, or
/// the layers of a wavefront, each at a timestep of its own. They form a stage (wavefront.h). Its
/// layers advance in blocks of timesteps, and at each tick every active layer computes its block.
#include "cuda/recurrent/stepwise.h"

#include "cuda/recurrent/gate_arguments.h"
#include "cuda/recurrent/gates.h"

namespace unroll::gpu {

Stepwise::Stepwise(const StackBuffers& buffers, const StackProducts& products, std::int64_t block)
    : PassSchedule(stages_of(buffers.spec(), buffers.args().steps, block)),
      buffers_(buffers),
      products_(products) {}

void Stepwise::forward(const ForwardPass& pass, const Stage& stage) const {
  clear_slots_without_x(pass, stage);
  // Without a wavefront, the plan has multiplied W and x of the whole stage.
  stage.for_each_tick(false, [&](std::span<const CellStep> blocks, auto&& for_each_step) {
    if (stage.is_wavefront()) products_.multiply_inputs(pass, stage, blocks);
    for_each_step([&](std::span<const CellStep> steps) { forward_step(pass, steps); });
  });
}

void Stepwise::backward(const BackwardPass& pass, const Stage& stage) const {
  stage.for_each_tick(true, [&](std::span<const CellStep> blocks, auto&& for_each_step) {
    for_each_step([&](std::span<const CellStep> steps) { backward_step(pass, steps); });
    if (stage.is_wavefront()) products_.input_gradients(pass, stage, blocks);
  });
}

void Stepwise::forward_step(const ForwardPass& pass, std::span<const CellStep> steps) const {
  const cells::CellProgram& program = buffers_.program();
  for (int phase = 0; phase < program.phase_count; ++phase) {
    products_.multiply_states(pass, steps, program.phases[phase]);
    forward_gates(pass, steps, phase);
  }
  if (buffers_.has_projection()) project(pass, steps);
}

void Stepwise::backward_step(const BackwardPass& pass, std::span<const CellStep> steps) const {
  const cells::CellProgram& program = buffers_.program();
  if (buffers_.has_projection()) project_gradients(pass, steps);
  for (int phase = program.phase_count - 1; phase >= 0; --phase) {
    backward_gates(pass, steps, phase);
    products_.multiply_gradients(pass, steps, program.phases[phase]);
  }
}

/// The arguments of a kernel for all cells of a step: make(step) for each.
template <typename Cell, typename Pass, typename Make>
GateArgs<Cell> Stepwise::gate_args(const Pass& pass, std::span<const CellStep> steps,
                                   const Make& make) const {
  const CellBuffers& like = buffers_.cell(steps.front().cell);
  GateArgs<Cell> args{gate_shape(buffers_, pass.args, like, steps.size()), {}};
  for (std::size_t k = 0; k < steps.size(); ++k) args.cell[k] = make(steps[k]);
  return args;
}

void Stepwise::forward_gates(const ForwardPass& pass, std::span<const CellStep> steps,
                             int phase) const {
  const GateKernel kernel{buffers_.spec(), buffers_.device().element(), phase};
  const auto arguments = [&](const CellStep& step) { return forward_cell(buffers_, pass, step); };
  if (!buffers_.program().is_normalised)
    return gates_forward(buffers_.stream(), kernel, gate_args<ForwardCell>(pass, steps, arguments));
  norm_gates_forward(
      buffers_.stream(), kernel, gate_args<NormForwardCell>(pass, steps, [&](const CellStep& step) {
        const RecurrentWeights& weights = pass.args.weights[std::size_t(step.cell)];
        return NormForwardCell{arguments(step), norm_site(buffers_, pass.memory, weights, step)};
      }));
}

void Stepwise::backward_gates(const BackwardPass& pass, std::span<const CellStep> steps,
                              int phase) const {
  const GateKernel kernel{buffers_.spec(), buffers_.device().element(), phase};
  const auto arguments = [&](const CellStep& step) { return backward_cell(buffers_, pass, step); };
  if (!buffers_.program().is_normalised)
    return gates_backward(buffers_.stream(), kernel,
                          gate_args<BackwardCell>(pass, steps, arguments));
  norm_gates_backward(
      buffers_.stream(), kernel,
      gate_args<NormBackwardCell>(pass, steps, [&](const CellStep& step) {
        const CellBuffers& c = buffers_.cell(step.cell);
        const RecurrentWeights& weights = pass.args.weights[std::size_t(step.cell)];
        return NormBackwardCell{
            arguments(step), norm_site(buffers_, pass.memory, weights, step),
            buffers_.floats(pass.scratch, c.dc_scaled, step.t * buffers_.batch() * c.padded)};
      }));
}

/// h_t = W_hr m_t. Then h_t is stored as the gate kernel stores it without a projection.
void Stepwise::project(const ForwardPass& pass, std::span<const CellStep> steps) const {
  products_.project(pass, steps);
  auto args = gate_args<ProjectedCell>(
      pass, steps, [&](const CellStep& step) { return projected_cell(buffers_, pass, step); });
  set_projected_shape(args, buffers_.cell(steps.front().cell));
  projection_forward(buffers_.stream(), buffers_.device().element(), args);
}

/// Completes the gradient of h_t with that of the layer's output, and from it computes that of m_t.
void Stepwise::project_gradients(const BackwardPass& pass, std::span<const CellStep> steps) const {
  auto args = gate_args<ProjectedGradient>(
      pass, steps, [&](const CellStep& step) { return projected_gradient(buffers_, pass, step); });
  set_projected_shape(args, buffers_.cell(steps.front().cell));
  projection_backward(buffers_.stream(), buffers_.device().element(), args);
  products_.project_gradients(pass, steps);
}

/// Clears the slots that R's product adds to and W does not feed, such as the q of a GRU.
void Stepwise::clear_slots_without_x(const ForwardPass& pass, const Stage& stage) const {
  const cells::CellProgram& program = buffers_.program();
  if (!program.has_slots_without_x()) return;
  for (int k = 0; k < stage.count; ++k) {
    const CellBuffers& c = buffers_.cell(stage.first + k);
    UNROLL_CUDA_CHECK(cudaMemset2DAsync(buffers_.floats(pass.memory, c.gates),
                                        std::size_t(buffers_.gate_row(c)) * sizeof(float), 0,
                                        std::size_t(program.first_x * c.padded) * sizeof(float),
                                        std::size_t(buffers_.rows()), buffers_.stream()));
  }
}

}  // namespace unroll::gpu
