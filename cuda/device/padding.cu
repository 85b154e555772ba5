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
    sum_biases_kernel(const __grid_constant__ GateSlots slots,
                      const __grid_constant__ SumBiases args) {
  const int unit = int(blockIdx.x) * kThreads + int(threadIdx.x), slot = int(blockIdx.y);
  if (unit >= args.padded) return;
  float sum = 0;
  if (unit < args.units) {
    if (slot >= slots.first_x) sum = args.bias_ih[(slot - slots.first_x) * args.units + unit];
    for (int k = 0; k < slots.part_count; ++k) {
      const GateSlots::Part& part = slots.parts[k];
      if (slot >= part.slot && slot < part.slot + part.count)
        sum += args.bias_hh[(part.gate + slot - part.slot) * args.units + unit];
    }
  }
  args.out[slot * args.padded + unit] = sum;
}

}  // namespace

GateSlots::GateSlots(const RecurrentSpec& spec)
    : slots(gates_of(spec.cell)), first_x(0), parts{{0, slots, 0, false}, {}}, part_count(1) {
  if (spec.cell != CellKind::kGru) return;
  part_count = 2;
  if (spec.reset == GruReset::kAfter) {
    slots = 4;
    first_x = 1;
    parts[0] = {0, 1, 2, false};  // q = R_n h
    parts[1] = {1, 2, 0, false};
  } else {
    parts[0] = {0, 2, 0, false};
    parts[1] = {2, 1, 2, true};
  }
}

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

void sum_biases(cudaStream_t stream, const GateSlots& slots, const SumBiases& args) {
  launch(stream, dim3(blocks_for(args.padded, kThreads), unsigned(slots.slots)), kThreads,
         &sum_biases_kernel, slots, args);
}

}  // namespace unroll::gpu
