#include "cuda/recurrent/gates.h"

#include <stdexcept>

#include "cuda/device/launch.h"
#include "cuda/recurrent/gate_steps.cuh"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 128;

using Four = Units<4>;

/// The pre-activations of four units in one slot.
__device__ __forceinline__ Four with_bias(const float* gates, const float* bias, int slot,
                                          int padded) {
  Four x = load_floats<4>(gates + slot * padded);
  const Four b = load_floats<4>(bias + slot * padded);
#pragma unroll
  for (int k = 0; k < 4; ++k) x.v[k] += b.v[k];
  return x;
}

/// The four neighbouring units of one sequence that this thread computes.
__device__ __forceinline__ UnitPlace my_place(const GateShape& args) {
  const int quads = args.padded / 4, item = int(blockIdx.x) * kThreads + int(threadIdx.x);
  return {item / quads, item % quads * 4, args.padded};
}

template <typename Step, typename E>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const __grid_constant__ GateArgs<ForwardCell> args) {
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const ForwardCell& cell = args.cell[blockIdx.y];
  const Four prev = previous_state<Step, E, 4>(cell, place);
  Four state{}, h;
  const bool live = cell.t < length_of(args, place.row);
  if (live) {
    float* const gates =
        cell.gates + place.row * std::int64_t(Step::kSlots) * args.padded + place.unit;
    Four x[Step::kSlots];
#pragma unroll
    for (int s = Step::kFirst; s < Step::kSlots; ++s)
      x[s] = s < Step::kFirstRaw ? load_floats<4>(gates + s * args.padded)
                                 : with_bias(gates, cell.bias + place.unit, s, args.padded);
    h = Step::forward(x, prev, state);
    if (args.training)
#pragma unroll
      for (int s = Step::kFirstRaw; s < Step::kSlots; ++s) store(gates + s * args.padded, x[s]);
  } else {
    h = load_floats<4>(static_cast<const E*>(cell.h_prev) + place.at);
    state = prev;
  }
  store_rounded(static_cast<E*>(cell.h) + place.at, h);
  store_outputs<Step, E>(args, cell, place, h, state, live, dropout_step(args));
}

/// GRU `before`, between its two products: activates r and z, stores r h_{t-1}.
template <typename E>
__global__ void __launch_bounds__(kThreads)
    forward_reset_kernel(const __grid_constant__ GateArgs<ForwardCell> args) {
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const ForwardCell& cell = args.cell[blockIdx.y];
  float* const gates = cell.gates + place.row * std::int64_t(3) * args.padded + place.unit;
  const float* const bias = cell.bias + place.unit;
  Four r = with_bias(gates, bias, 0, args.padded), z = with_bias(gates, bias, 1, args.padded);
  Four h = previous_state<GruBeforeMix, E, 4>(cell, place);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    cells::GruGates<Real> y{Real(r.v[k]), Real(z.v[k]), Real(), Real()};
    h.v[k] = cells::gru_before_reset(y, Real(h.v[k])).v;
    r.v[k] = y.r.v;
    z.v[k] = y.z.v;
  }
  store(gates, r);
  store(gates + args.padded, z);
  store_rounded(static_cast<E*>(cell.reset_h) + place.at, h);
}

template <typename Step, typename E>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ GateArgs<BackwardCell> args) {
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const BackwardCell& cell = args.cell[blockIdx.y];
  const std::int64_t gates = place.row * std::int64_t(Step::kSlots) * args.padded + place.unit;
  E* const dgates = static_cast<E*>(cell.dgates) + gates;
  constexpr bool kIsLstm = std::is_same_v<Step, LstmStep>;
  if (cell.t >= length_of(args, place.row)) {
    // Past the end the state passes through unchanged, and so do the gradients in dh and dc.
#pragma unroll
    for (int s = 0; s < Step::kSlots; ++s) store_rounded(dgates + s * args.padded, Four{});
    return;
  }
  Four dh = load_floats<4>(cell.dh + place.at);
  Four dy = output_gradient<4>(args, cell, place);
  if (drops_gradients(args, cell))
    dy = drop(dy, draw_mask<4>(cell.dropout, dropout_step(args), place, args.dropout),
              args.kept_scale);
#pragma unroll
  for (int k = 0; k < 4; ++k) dh.v[k] += dy.v[k];
  const Four prev = previous_state<Step, E, 4>(cell, place);
  Four state{}, dc{}, y[Step::kSlots];
  if constexpr (kIsLstm) {
    state = load_floats<4>(cell.state + place.at);
    dc = load_floats<4>(cell.dc + place.at);
  }
#pragma unroll
  for (int s = Step::kFirst; s < Step::kSlots; ++s)
    y[s] = load_floats<4>(cell.gates + gates + s * args.padded);
  const Four carried = Step::backward(y, prev, state, dh, dc);
#pragma unroll
  for (int s = Step::kFirst; s < Step::kSlots; ++s) store_rounded(dgates + s * args.padded, y[s]);
  if constexpr (kIsLstm) store(cell.dc + place.at, dc);
  if (kIsGru<Step> || args.lengths) store(cell.dh + place.at, carried);
}

/// GRU `before`, after the product that computes the gradient of r h_{t-1}.
template <typename E>
__global__ void __launch_bounds__(kThreads)
    backward_reset_kernel(const __grid_constant__ GateArgs<BackwardCell> args) {
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const BackwardCell& cell = args.cell[blockIdx.y];
  if (cell.t >= length_of(args, place.row)) return;  // the first kernel stored zeros
  const std::int64_t gates = place.row * std::int64_t(3) * args.padded + place.unit;
  const Four r = load_floats<4>(cell.gates + gates),
             dreset = load_floats<4>(cell.dreset + place.at);
  const Four h = previous_state<GruBeforeMix, E, 4>(cell, place);
  Four dh = load_floats<4>(cell.dh + place.at), dr;
#pragma unroll
  for (int k = 0; k < 4; ++k)
    dr.v[k] = cells::gru_before_reset_backward(r.v[k], h.v[k], dreset.v[k], dh.v[k]);
  store_rounded(static_cast<E*>(cell.dgates) + gates, dr);
  store(cell.dh + place.at, dh);
}

template <typename Cell>
void start(cudaStream_t stream, void (*kernel)(GateArgs<Cell>), const GateArgs<Cell>& args) {
  const std::int64_t items = std::int64_t(args.batch) * (args.padded / 4);
  launch(stream, dim3(blocks_for(items, kThreads), unsigned(args.cells)), kThreads, kernel, args);
}

template <typename E>
void forward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step,
             const GateArgs<ForwardCell>& args) {
  if (step == GateStep::kReset) return start(stream, &forward_reset_kernel<E>, args);
  switch (spec.cell) {
    case CellKind::kRnnTanh:
      return start(stream, &forward_kernel<ElmanStep<Activation::kTanh>, E>, args);
    case CellKind::kRnnRelu:
      return start(stream, &forward_kernel<ElmanStep<Activation::kRelu>, E>, args);
    case CellKind::kRnnLogistic:
      return start(stream, &forward_kernel<ElmanStep<Activation::kLogistic>, E>, args);
    case CellKind::kLstm:
      return start(stream, &forward_kernel<LstmStep, E>, args);
    case CellKind::kGru:
      if (step == GateStep::kMix) return start(stream, &forward_kernel<GruBeforeMix, E>, args);
      return start(stream, &forward_kernel<GruAfterStep, E>, args);
  }
}

template <typename E>
void backward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step,
              const GateArgs<BackwardCell>& args) {
  if (step == GateStep::kReset) return start(stream, &backward_reset_kernel<E>, args);
  switch (spec.cell) {
    case CellKind::kRnnTanh:
      return start(stream, &backward_kernel<ElmanStep<Activation::kTanh>, E>, args);
    case CellKind::kRnnRelu:
      return start(stream, &backward_kernel<ElmanStep<Activation::kRelu>, E>, args);
    case CellKind::kRnnLogistic:
      return start(stream, &backward_kernel<ElmanStep<Activation::kLogistic>, E>, args);
    case CellKind::kLstm:
      return start(stream, &backward_kernel<LstmStep, E>, args);
    case CellKind::kGru:
      if (step == GateStep::kMix) return start(stream, &backward_kernel<GruBeforeMix, E>, args);
      return start(stream, &backward_kernel<GruAfterStep, E>, args);
  }
}

}  // namespace

void gates_forward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step, Element element,
                   const GateArgs<ForwardCell>& args) {
  if (element == Element::kFloat32) return forward<float>(stream, spec, step, args);
  forward<__nv_bfloat16>(stream, spec, step, args);
}

void gates_backward(cudaStream_t stream, const RecurrentSpec& spec, GateStep step, Element element,
                    const GateArgs<BackwardCell>& args) {
  if (element == Element::kFloat32) return backward<float>(stream, spec, step, args);
  backward<__nv_bfloat16>(stream, spec, step, args);
}

}  // namespace unroll::gpu
