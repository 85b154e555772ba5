#include "cuda/recurrent/recurrent_kernels.h"

#include <algorithm>

#include "cuda/device/launch.h"
#include "cuda/kernels/column_sum.cuh"
#include "cuda/kernels/pack.cuh"
#include "unroll/math/philox.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

template <typename E>
__global__ void __launch_bounds__(kThreads)
    pad_states_kernel(const __grid_constant__ StateCopies args) {
  const int k = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (k >= args.batch * args.padded) return;
  const StateCopies::Cell& cell = args.cell[blockIdx.y];
  const int row = k / args.padded, unit = k % args.padded;
  const float x = cell.given && unit < args.width ? cell.given[row * args.width + unit] : 0;
  if (cell.padded) store_rounded(static_cast<E*>(cell.padded) + k, x);
  if (cell.also_padded) cell.also_padded[k] = x;
}

__global__ void __launch_bounds__(kThreads)
    unpad_states_kernel(const __grid_constant__ StateCopies args) {
  const int k = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (k >= args.batch * args.width) return;
  const StateCopies::Cell& cell = args.cell[blockIdx.y];
  const int row = k / args.width, unit = k % args.width;
  if (cell.given) cell.given[k] = cell.also_padded[row * args.padded + unit];
}

__global__ void __launch_bounds__(kThreads)
    fill_random_kernel(const __grid_constant__ RandomFill args) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < args.count)
    args.out[k] =
        args.limit * (2 * math::uniform01(math::philox_word(args.key, 0, std::uint64_t(k))) - 1);
}

template <typename E>
__global__ void __launch_bounds__(kSumColumns* kSumRows)
    bias_gradients_kernel(const __grid_constant__ cells::CellProgram program,
                          const __grid_constant__ BiasGradients args) {
  const int unit = summed_column(), slot = int(blockIdx.y);
  const int width = program.slots * args.padded;
  const E* const in = static_cast<const E*>(args.dgates) + slot * args.padded + unit;
  const float sum = column_sum(args.rows, args.units,
                               [&](std::int64_t row) { return as_float(in[row * width]); });
  if (!has_column_sum(args.units)) return;
  const int gate = slot - program.first_x_bias();
  if (args.dbias_ih && gate >= 0 && gate < program.gates)
    args.dbias_ih[gate * args.units + unit] = sum;
  if (args.dbias_hh)
#pragma unroll 1
    for (int k = 0; k < program.phase_count; ++k) {
      const cells::Phase& phase = program.phases[k];
      const int at = slot - program.first_h_bias(phase);
      if (at >= 0 && at < phase.count)
        args.dbias_hh[program.gate_of_h(phase, at) * args.units + unit] = sum;
    }
}

}  // namespace

void pad_states(cudaStream_t stream, Element element, const StateCopies& args) {
  launch(
      stream, dim3(blocks_for(args.batch * args.padded, kThreads), unsigned(args.cells)), kThreads,
      element == Element::kFloat32 ? &pad_states_kernel<float> : &pad_states_kernel<__nv_bfloat16>,
      args);
}

void unpad_states(cudaStream_t stream, const StateCopies& args) {
  if (std::none_of(args.cell, args.cell + args.cells, [](const auto& cell) { return cell.given; }))
    return;
  launch(stream, dim3(blocks_for(args.batch * args.width, kThreads), unsigned(args.cells)),
         kThreads, &unpad_states_kernel, args);
}

void fill_random(cudaStream_t stream, const RandomFill& args) {
  launch(stream, blocks_for(args.count, kThreads), kThreads, &fill_random_kernel, args);
}

void bias_gradients(cudaStream_t stream, const cells::CellProgram& program,
                    const BiasGradients& args) {
  launch(stream, dim3(blocks_for(args.units, kSumColumns), unsigned(program.slots)),
         kSumColumns * kSumRows,
         args.element == Element::kFloat32 ? &bias_gradients_kernel<float>
                                           : &bias_gradients_kernel<__nv_bfloat16>,
         program, args);
}

}  // namespace unroll::gpu
