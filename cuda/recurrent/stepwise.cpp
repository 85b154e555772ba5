/// A step of an LSTM forward, for its N sequences at timestep t:
///
///   1. The product gates += h_{t-1} R^T. The gates, N rows of i, f, g, o with H values each, held
///      W x_t before: one product has computed that for all timesteps of the layer.
///   2. The gate kernel (gates.cu) adds the biases, activates i, f, g and o in place, computes
///      c_t = f c_{t-1} + i g and h_t = o tanh(c_t), and stores these, the layer's output, and the
///      input of the layer above with dropout. The formulas are in unroll/cells/lstm.h.
///
/// A step backward, from the last timestep to the first:
///
///   1. The gate kernel adds the gradient of the layer's output to dh, which the step of t + 1 has
///      left, and computes the gradients of the four sums (dgates) and of c_{t-1} (dc).
///   2. The product dh = dgates R is the gradient of h_{t-1}.
///
/// The gradients of x, W, R and the biases follow later, from the dgates of all timesteps at once.
///
/// With a projection, h_t = W_hr o tanh(c_t): a product and a kernel follow the gates, and come
/// before them backward (projection.cu). With layer norm, kernels of its own take the place of the
/// gate kernels (layer_norm.cu).
///
/// Other cells differ in their programs (unroll/cells/program.h): a GRU whose reset gate comes
/// before the product has two such pairs a timestep, called phases. With sequences of different
/// lengths, kernels let states and their gradients pass through the timesteps after a sequence's
/// end. Several cells can take a step together: the two directions of a layer, or the layers of a
/// wavefront, each at a timestep of its own.
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
  const auto cell = [&](const CellStep& step) { return forward_cell(buffers_, pass, step); };
  if (!buffers_.program().is_normalised)
    return gates_forward(buffers_.stream(), kernel, gate_args<ForwardCell>(pass, steps, cell));
  norm_gates_forward(
      buffers_.stream(), kernel, gate_args<NormForwardCell>(pass, steps, [&](const CellStep& step) {
        const RecurrentWeights& weights = pass.args.weights[std::size_t(step.cell)];
        return NormForwardCell{cell(step), norm_site(buffers_, pass.memory, weights, step)};
      }));
}

void Stepwise::backward_gates(const BackwardPass& pass, std::span<const CellStep> steps,
                              int phase) const {
  const GateKernel kernel{buffers_.spec(), buffers_.device().element(), phase};
  const auto cell = [&](const CellStep& step) { return backward_cell(buffers_, pass, step); };
  if (!buffers_.program().is_normalised)
    return gates_backward(buffers_.stream(), kernel, gate_args<BackwardCell>(pass, steps, cell));
  norm_gates_backward(
      buffers_.stream(), kernel,
      gate_args<NormBackwardCell>(pass, steps, [&](const CellStep& step) {
        const CellBuffers& c = buffers_.cell(step.cell);
        const RecurrentWeights& weights = pass.args.weights[std::size_t(step.cell)];
        return NormBackwardCell{
            cell(step), norm_site(buffers_, pass.memory, weights, step),
            buffers_.floats(pass.scratch, c.dc_scaled, step.t * buffers_.batch() * c.padded)};
      }));
}

/// h_t = W_hr m_t, and what becomes of h_t.
void Stepwise::project(const ForwardPass& pass, std::span<const CellStep> steps) const {
  products_.project(pass, steps);
  auto args = gate_args<ProjectedCell>(
      pass, steps, [&](const CellStep& step) { return projected_cell(buffers_, pass, step); });
  set_projected_shape(args, buffers_.cell(steps.front().cell));
  projection_forward(buffers_.stream(), buffers_.device().element(), args);
}

/// The gradient of h_t, and from it that of m_t.
void Stepwise::project_gradients(const BackwardPass& pass, std::span<const CellStep> steps) const {
  auto args = gate_args<ProjectedGradient>(
      pass, steps, [&](const CellStep& step) { return projected_gradient(buffers_, pass, step); });
  set_projected_shape(args, buffers_.cell(steps.front().cell));
  projection_backward(buffers_.stream(), buffers_.device().element(), args);
  products_.project_gradients(pass, steps);
}

/// W does not feed these slots, and R's product adds to them.
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
