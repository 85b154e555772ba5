#include "cuda/recurrent/projection.h"

#include "cuda/device/launch.h"
#include "cuda/recurrent/gate_steps.cuh"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 128;

/// The four neighbouring elements of one sequence's h that this thread computes.
__device__ __forceinline__ UnitPlace my_place(const GateShape& args) {
  const int quads = args.padded / 4, item = int(blockIdx.x) * kThreads + int(threadIdx.x);
  return {item / quads, item % quads * 4, args.padded};
}

template <typename E>
__global__ void __launch_bounds__(kThreads)
    projection_forward_kernel(const __grid_constant__ GateArgs<ProjectedCell> args) {
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const ProjectedCell& cell = args.cell[blockIdx.y];
  const bool live = cell.t < length_of(args, place.row);
  const Units<4> h = live ? load_floats<4>(cell.projected + place.at)
                          : load_floats<4>(static_cast<const E*>(cell.h_prev) + place.at);
  store_rounded(static_cast<E*>(cell.h) + place.at, h);
  if (cell.h_n)
    store_first(cell.h_n + std::int64_t(place.row) * args.units + place.unit, h,
                args.units - place.unit);
  store_output<E>({args, dropout_step(args)}, cell, place, live ? h : Units<4>{});
}

template <typename E>
__global__ void __launch_bounds__(kThreads)
    projection_backward_kernel(const __grid_constant__ GateArgs<ProjectedGradient> args) {
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const ProjectedGradient& cell = args.cell[blockIdx.y];
  E* const out = static_cast<E*>(cell.dprojected) + place.at;
  if (cell.t >= length_of(args, place.row)) return store_rounded(out, Units<4>{});
  store_rounded(out, whole_gradient<4>(args, cell, place));
  if (args.lengths) store(cell.dh + place.at, Units<4>{});
}

template <typename Cell>
void start(cudaStream_t stream, void (*kernel)(GateArgs<Cell>), const GateArgs<Cell>& args) {
  const std::int64_t items = std::int64_t(args.batch) * (args.padded / 4);
  launch(stream, dim3(blocks_for(items, kThreads), unsigned(args.cells)), kThreads, kernel, args);
}

}  // namespace

void projection_forward(cudaStream_t stream, Element element, const GateArgs<ProjectedCell>& args) {
  start(stream,
        element == Element::kFloat32 ? &projection_forward_kernel<float>
                                     : &projection_forward_kernel<__nv_bfloat16>,
        args);
}

void projection_backward(cudaStream_t stream, Element element,
                         const GateArgs<ProjectedGradient>& args) {
  start(stream,
        element == Element::kFloat32 ? &projection_backward_kernel<float>
                                     : &projection_backward_kernel<__nv_bfloat16>,
        args);
}

}  // namespace unroll::gpu
