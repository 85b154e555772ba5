#include "cuda/device/padding.h"

#include "cuda/device/launch.h"
#include "cuda/kernels/pack.cuh"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kPadThreads = 128;

/// One block per row of the result, four columns per thread. `wide`: the source is aligned, too.
template <typename E, bool wide>
__global__ void __launch_bounds__(kPadThreads)
    pad_matrix_kernel(const __grid_constant__ PadMatrix args) {
  const int block = int(blockIdx.x) / args.padded_rows, row = int(blockIdx.x) % args.padded_rows;
  const int width = args.column_blocks * args.padded_columns;
  E* const out = static_cast<E*>(args.out) + std::int64_t(blockIdx.x) * width;
  const float* const in = args.in + (std::int64_t(args.row_order[block]) * args.rows + row) *
                                        args.column_blocks * args.columns;
  for (int k = 4 * int(threadIdx.x); k < width; k += 4 * kPadThreads) {
    const int column_block = k / args.padded_columns, column = k % args.padded_columns;
    const float* const from = in + column_block * args.columns + column;
    const int inside = row < args.rows ? args.columns - column : 0;  // how many of the four exist
    Pack<float, 4> x{};
    if (wide) {
      if (inside > 0) x = load<4>(from);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (j < inside) x.v[j] = from[j];
    }
    store_rounded(out + k, x);
  }
}

__global__ void __launch_bounds__(kThreads)
    sum_biases_kernel(const __grid_constant__ cells::CellProgram program,
                      const __grid_constant__ SumBiases args) {
  const int unit = int(blockIdx.x) * kThreads + int(threadIdx.x), slot = int(blockIdx.y);
  if (unit >= args.padded) return;
  float sum = 0;
  if (unit < args.units) {
    const int gate = slot - program.first_x_bias();
    if (gate >= 0 && gate < program.gates) sum = args.bias_ih[gate * args.units + unit];
    for (int k = 0; k < program.phase_count; ++k) {
      const cells::Phase& phase = program.phases[k];
      const int at = slot - program.first_h_bias(phase);
      if (at >= 0 && at < phase.count)
        sum += args.bias_hh[program.gate_of_h(phase, at) * args.units + unit];
    }
  }
  args.out[slot * args.padded + unit] = sum;
}

}  // namespace

void pad_matrix(cudaStream_t stream, const PadMatrix& args) {
  if (args.rows == 0) return;
  const bool wide = packs_of_four(args.in, args.columns);
  const auto kernel =
      args.element == Element::kFloat32
          ? (wide ? &pad_matrix_kernel<float, true> : &pad_matrix_kernel<float, false>)
          : (wide ? &pad_matrix_kernel<__nv_bfloat16, true>
                  : &pad_matrix_kernel<__nv_bfloat16, false>);
  launch(stream, unsigned(args.row_blocks * args.padded_rows), kPadThreads, kernel, args);
}

void sum_biases(cudaStream_t stream, const cells::CellProgram& program, const SumBiases& args) {
  launch(stream, dim3(blocks_for(args.padded, kThreads), unsigned(program.slots)), kThreads,
         &sum_biases_kernel, program, args);
}

}  // namespace unroll::gpu
