#include "cuda/recurrent/projection.h"

#include "cuda/recurrent/unit_launch.cuh"

namespace unroll::gpu {
namespace {

template <typename E>
__global__ void __launch_bounds__(kUnitThreads)
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
__global__ void __launch_bounds__(kUnitThreads)
    projection_backward_kernel(const __grid_constant__ GateArgs<ProjectedGradient> args) {
  const UnitPlace place = my_place(args);
  if (place.row >= args.batch) return;
  const ProjectedGradient& cell = args.cell[blockIdx.y];
  E* const out = static_cast<E*>(cell.dprojected) + place.at;
  if (cell.t >= length_of(args, place.row)) return store_rounded(out, Units<4>{});
  store_rounded(out, whole_gradient<4>(args, cell, place));
  if (args.lengths) store(cell.dh + place.at, Units<4>{});
}

}  // namespace

void projection_forward(cudaStream_t stream, Element element, const GateArgs<ProjectedCell>& args) {
  launch_units(stream,
               element == Element::kFloat32 ? &projection_forward_kernel<float>
                                            : &projection_forward_kernel<__nv_bfloat16>,
               args);
}

void projection_backward(cudaStream_t stream, Element element,
                         const GateArgs<ProjectedGradient>& args) {
  launch_units(stream,
               element == Element::kFloat32 ? &projection_backward_kernel<float>
                                            : &projection_backward_kernel<__nv_bfloat16>,
               args);
}

}  // namespace unroll::gpu
