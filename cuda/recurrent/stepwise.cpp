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
  const CellBuffers& like = buffers_.cell(steps.front().cell);
  GateArgs<ForwardCell> args{gate_shape(buffers_, pass.args, like, steps.size()), {}};
  for (std::size_t k = 0; k < steps.size(); ++k)
    args.cell[k] = forward_cell(buffers_, pass, steps[k]);
  for (int phase = 0; phase < program.phase_count; ++phase) {
    products_.multiply_states(pass, steps, program.phases[phase]);
    gates_forward(buffers_.stream(), kernel(phase), args);
  }
}

void Stepwise::backward_step(const BackwardPass& pass, std::span<const CellStep> steps) const {
  const cells::CellProgram& program = buffers_.program();
  const CellBuffers& like = buffers_.cell(steps.front().cell);
  GateArgs<BackwardCell> args{gate_shape(buffers_, pass.args, like, steps.size()), {}};
  for (std::size_t k = 0; k < steps.size(); ++k)
    args.cell[k] = backward_cell(buffers_, pass, steps[k]);
  for (int phase = program.phase_count - 1; phase >= 0; --phase) {
    gates_backward(buffers_.stream(), kernel(phase), args);
    products_.multiply_gradients(pass, steps, program.phases[phase]);
  }
}

GateKernel Stepwise::kernel(int phase) const {
  return {buffers_.spec(), buffers_.device().element(), phase};
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
