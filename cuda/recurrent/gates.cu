#include "cuda/recurrent/gates.h"

#include "cuda/recurrent/unit_launch.cuh"

namespace unroll::gpu {
namespace {

using Four = Units<4>;

/// The sums of four units in one slot.
__device__ __forceinline__ Four with_bias(const float* gates, const float* bias, int slot,
                                          int padded) {
  Four x = load_floats<4>(gates + slot * padded);
  const Four b = load_floats<4>(bias + slot * padded);
#pragma unroll
  for (int k = 0; k < 4; ++k) x.v[k] += b.v[k];
  return x;
}

template <typename Cell, int phase, typename E>
__global__ void __launch_bounds__(kUnitThreads)
    forward_kernel(const __grid_constant__ GateArgs<ForwardCell> args) {
  constexpr cells::CellProgram kProgram = Cell::kProgram;
  constexpr cells::Phase kPhase = kProgram.phases[phase];
  constexpr bool kIsLast = phase + 1 == kProgram.phase_count;
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const ForwardCell& cell = args.cell[blockIdx.y];
  ForwardUnits<Cell, 4> units{};
  units.prev = previous_state<Cell, E, 4>(cell, place);
  units.live = !kIsLast || cell.t < length_of(args, place.row);
  if (units.live) {
    float* const gates =
        cell.gates + place.row * std::int64_t(kProgram.slots) * args.padded + place.unit;
#pragma unroll
    for (int s = 0; s < kPhase.active; ++s)
      units.gate[s] = s < kPhase.first ? load_floats<4>(gates + s * args.padded)
                                       : with_bias(gates, cell.bias + place.unit, s, args.padded);
    units.template run<phase>();
    if (args.training || !kIsLast)
#pragma unroll
      for (int s = kPhase.first; s < kPhase.active; ++s)
        store(gates + s * args.padded, units.gate[s]);
  } else {
    units.result = load_floats<4>(static_cast<const E*>(cell.h_prev) + place.at);
    units.state = units.prev;
  }
  if constexpr (kIsLast) {
    store_rounded(static_cast<E*>(cell.h) + place.at, units.result);
    store_outputs<E>({args, dropout_step(args)}, cell, place, units);
  } else {
    store_rounded(static_cast<E*>(cell.reset_h) + place.at, units.result);
  }
}

template <typename Cell, int phase, typename E>
__global__ void __launch_bounds__(kUnitThreads)
    backward_kernel(const __grid_constant__ GateArgs<BackwardCell> args) {
  constexpr cells::CellProgram kProgram = Cell::kProgram;
  constexpr cells::Phase kPhase = kProgram.phases[phase];
  constexpr bool kIsLast = phase + 1 == kProgram.phase_count;
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const BackwardCell& cell = args.cell[blockIdx.y];
  const std::int64_t gates = place.row * std::int64_t(kProgram.slots) * args.padded + place.unit;
  E* const dgates = static_cast<E*>(cell.dgates) + gates;
  if (cell.t >= length_of(args, place.row)) {
    // Past the end the state passes through unchanged, and so do the gradients in dh and dc. The
    // kernel of the last phase is the first, and stores the zeros for the other.
    if constexpr (kIsLast)
#pragma unroll
      for (int s = 0; s < kProgram.slots; ++s) store_rounded(dgates + s * args.padded, Four{});
    return;
  }
  BackwardUnits<Cell, 4> units{};
  if constexpr (kIsLast) {
    units.dh = whole_gradient<4>(args, cell, place);
  } else {
    units.dh = load_floats<4>(cell.dh + place.at);
    units.dreset = load_floats<4>(cell.dreset + place.at);
  }
  units.prev = previous_state<Cell, E, 4>(cell, place);
  if constexpr (kProgram.has_c) {
    units.state = load_floats<4>(cell.state + place.at);
    units.dc = load_floats<4>(cell.dc + place.at);
  }
#pragma unroll
  for (int s = 0; s < kProgram.slots; ++s)
    units.gate[s] = load_floats<4>(cell.gates + gates + s * args.padded);
  units.template run<phase>();
#pragma unroll
  for (int s = kPhase.gradient; s < kPhase.gradient_end; ++s)
    store_rounded(dgates + s * args.padded, units.gate[s]);
  if constexpr (kProgram.has_c) store(cell.dc + place.at, units.dc);
  if (kProgram.has_direct || args.lengths) store(cell.dh + place.at, units.dh);
}

/// Calls visit.operator()<Cell, phase, E>() with the types and the constant that `kernel` names.
template <typename Visit>
void visit_kernel(const GateKernel& kernel, const Visit& visit) {
  cells::visit_cell(kernel.spec, [&]<typename Cell>(Cell) {
    if constexpr (!Cell::kProgram.is_normalised) {  // those are in layer_norm.cu
      const auto with_element = [&]<int phase>() {
        if (kernel.element == Element::kFloat32)
          visit.template operator()<Cell, phase, float>();
        else
          visit.template operator()<Cell, phase, __nv_bfloat16>();
      };
      if (kernel.phase == 0)
        with_element.template operator()<0>();
      else
        with_element.template operator()<Cell::kProgram.phase_count - 1>();
    }
  });
}

}  // namespace

void gates_forward(cudaStream_t stream, const GateKernel& kernel,
                   const GateArgs<ForwardCell>& args) {
  visit_kernel(kernel, [&]<typename Cell, int phase, typename E>() {
    launch_units(stream, &forward_kernel<Cell, phase, E>, args);
  });
}

void gates_backward(cudaStream_t stream, const GateKernel& kernel,
                    const GateArgs<BackwardCell>& args) {
  visit_kernel(kernel, [&]<typename Cell, int phase, typename E>() {
    launch_units(stream, &backward_kernel<Cell, phase, E>, args);
  });
}

}  // namespace unroll::gpu
