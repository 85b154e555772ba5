#include "cuda/recurrent/layer_norm.h"

#include "cuda/device/launch.h"
#include "cuda/kernels/block_reduce.cuh"
#include "cuda/kernels/column_sum.cuh"
#include "cuda/recurrent/gate_steps.cuh"
#include "unroll/cells/table.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

/// Mean and 1 / sqrt(variance + epsilon).
struct Moments {
  float mean, scale;
};

/// The moments of value(u) over all units and, if a unit has several values, over all of these.
template <int values, typename Value>
__device__ __forceinline__ Moments moments_of(int units, const Value& value) {
  const float count = float(units) * values;
  float sum = 0;
  for (int u = int(threadIdx.x); u < units; u += kThreads)
#pragma unroll
    for (int k = 0; k < values; ++k) sum += value(u, k);
  const float mean = block_reduce(sum, Sum()) / count;
  sum = 0;
  for (int u = int(threadIdx.x); u < units; u += kThreads)
#pragma unroll
    for (int k = 0; k < values; ++k) {
      const float distance = value(u, k) - mean;
      sum += distance * distance;
    }
  return {mean, 1 / sqrtf(block_reduce(sum, Sum()) / count + cells::kNormEpsilon)};
}

__global__ void __launch_bounds__(kThreads)
    normalize_inputs_kernel(const __grid_constant__ cells::CellProgram program,
                            const __grid_constant__ NormInputs args) {
  const std::int64_t row = blockIdx.x;
  float* const x = args.gates + (row * program.slots + program.first_x) * args.padded;
  const int count = program.gates * args.units;
  const auto place = [&](int k) { return k / args.units * args.padded + k % args.units; };
  const Moments m = moments_of<1>(count, [&](int k, int) { return x[place(k)]; });
  for (int k = int(threadIdx.x); k < count; k += kThreads)
    x[place(k)] = (x[place(k)] - m.mean) * m.scale;
  if (threadIdx.x == 0) args.scales[row * cells::kNormScales + cells::kScaleOfWx] = m.scale;
}

/// gain_c n(c) + bias_c of a unit.
__device__ __forceinline__ Real scaled_c(const NormSite& norm, float c_normal, int unit,
                                         bool inside) {
  return Real(inside ? fmaf(norm.gain_c[unit], c_normal, norm.bias_c[unit]) : 0);
}

/// A sequence that has ended: c and h are those of the step before.
template <typename Cell, typename E>
__device__ __forceinline__ void pass_through(const GateShape& args, const NormForwardCell& cell,
                                             int row) {
  for (int u = int(threadIdx.x); u < args.padded; u += kThreads) {
    const UnitPlace place(row, u, args.padded);
    ForwardUnits<Cell, 1> unit{};
    unit.state = load<1>(cell.state_prev + place.at);
    unit.result = load_floats<1>(static_cast<const E*>(cell.h_prev) + place.at);
    store_rounded(static_cast<E*>(cell.h) + place.at, unit.result);
    cell.norm.c_normal[place.at] = 0;  // a zero multiplies it in the gradient of gain_c
    store_outputs<E>({args, 0}, cell, place, unit);
  }
}

/// The forward pass of one row.
template <typename Cell>
struct ForwardRow {
  const GateShape& args;
  const NormForwardCell& cell;
  float* gates;  // [slots, Hp]
  Moments of_rh;

  /// From R h and n(W x) to c_t, for one unit: activates its gates and stores n(R h) and the gates.
  __device__ __forceinline__ float next_c(const UnitPlace& place) const {
    const int u = place.unit;
    const bool inside = u < args.units;
    Real z[Cell::kGates];
#pragma unroll
    for (int k = 0; k < Cell::kGates; ++k) {
      float* const rh = gates + k * args.padded + u;
      const float normal = inside ? (*rh - of_rh.mean) * of_rh.scale : 0;
      *rh = normal;
      float sum = cell.bias[(Cell::kZ + k) * args.padded + u];
      if (inside)
        sum += cell.norm.gain_hh[k * args.units + u] * normal +
               cell.norm.gain_ih[k * args.units + u] * rh[Cell::kX * args.padded];
      z[k] = Real(sum);
    }
    Cell::Gates::activate(z);
#pragma unroll
    for (int k = 0; k < Cell::kGates; ++k) gates[(Cell::kZ + k) * args.padded + u] = z[k].v;
    return Cell::Gates::next_state(z, Real(cell.state_prev[place.at])).v;
  }
};

template <typename Cell, typename E>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const __grid_constant__ GateArgs<NormForwardCell> args) {
  const int row = int(blockIdx.x);
  const NormForwardCell& cell = args.cell[blockIdx.y];
  if (cell.t >= length_of(args, row)) return pass_through<Cell, E>(args, cell, row);
  float* const gates = cell.gates + std::int64_t(row) * Cell::kSlots * args.padded;
  float* const c = cell.state + std::int64_t(row) * args.padded;
  const Moments of_rh = moments_of<Cell::kGates>(
      args.units, [&](int u, int k) { return gates[k * args.padded + u]; });
  const ForwardRow<Cell> r{args, cell, gates, of_rh};
  for (int u = int(threadIdx.x); u < args.padded; u += kThreads)
    c[u] = r.next_c(UnitPlace(row, u, args.padded));
  const Moments of_c = moments_of<1>(args.units, [&](int u, int) { return c[u]; });
  const std::uint64_t number = dropout_step(args);
  for (int u = int(threadIdx.x); u < args.padded; u += kThreads) {
    const UnitPlace place(row, u, args.padded);
    const bool inside = u < args.units;
    const float normal = inside ? (c[u] - of_c.mean) * of_c.scale : 0;
    cell.norm.c_normal[place.at] = normal;
    ForwardUnits<Cell, 1> unit{};
    unit.live = true;
    unit.state.v[0] = c[u];
    const Real o(gates[(Cell::kZ + Cell::Gates::kO) * args.padded + u]);
    unit.result.v[0] = Cell::output(o, scaled_c(cell.norm, normal, u, inside)).v;
    store_rounded(static_cast<E*>(cell.h) + place.at, unit.result);
    store_outputs<E>({args, number}, cell, place, unit);
  }
  if (threadIdx.x != 0) return;
  float* const scales = cell.norm.scales + row * cells::kNormScales;
  scales[cells::kScaleOfRh] = of_rh.scale;
  scales[cells::kScaleOfC] = of_c.scale;
}

/// The backward pass of one row. Values that several loops need are computed anew rather than kept,
/// because memory for any number of units would be large.
template <typename Cell, typename E>
struct BackwardRow {
  static constexpr int kGates = Cell::kGates;
  const GateShape& args;
  const NormBackwardCell& cell;
  int row;
  const float* gates;     // [slots, Hp]
  const float* c_normal;  // [Hp]
  float* dh;              // [Hp]: that of h_t
  float c_scale, c_mean, c_slope;

  __device__ __forceinline__ BackwardRow(const GateShape& shape, const NormBackwardCell& at,
                                         int which)
      : args(shape),
        cell(at),
        row(which),
        gates(at.gates + std::int64_t(which) * Cell::kSlots * shape.padded),
        c_normal(at.norm.c_normal + std::int64_t(which) * shape.padded),
        dh(at.dh + std::int64_t(which) * shape.padded),
        c_scale(at.norm.scales[which * cells::kNormScales + cells::kScaleOfC]) {}

  __device__ __forceinline__ UnitPlace place(int unit) const { return {row, unit, args.padded}; }
  __device__ __forceinline__ float gate(int slot, int unit) const {
    return gates[slot * args.padded + unit];
  }

  /// Completes dh, stores the gradient of gain_c n(c) + bias_c, and takes the means that the
  /// gradient of c needs.
  __device__ __forceinline__ void to_c() {
    float sum = 0, slope = 0;
    for (int u = int(threadIdx.x); u < args.padded; u += kThreads) {
      const bool inside = u < args.units;
      dh[u] = whole_gradient<1>(args, cell, place(u)).v[0];
      Real o(gate(Cell::kZ + Cell::Gates::kO, u));
      const float d =
          Cell::output_backward(o, scaled_c(cell.norm, c_normal[u], u, inside), Real(dh[u])).v;
      cell.dc_scaled[place(u).at] = inside ? d : 0;
      if (!inside) continue;
      sum += d * cell.norm.gain_c[u];
      slope += d * cell.norm.gain_c[u] * c_normal[u];
    }
    c_mean = block_reduce(sum, Sum()) / float(args.units);
    c_slope = block_reduce(slope, Sum()) / float(args.units);
  }

  /// The gradients of a unit's sums z; dc becomes that of c_{t-1}.
  __device__ __forceinline__ void from_c(int u, Real (&d)[kGates], float& dc) const {
    const std::int64_t at = place(u).at;
#pragma unroll
    for (int k = 0; k < kGates; ++k) d[k] = Real(gate(Cell::kZ + k, u));
    Real o = d[Cell::Gates::kO];
    const Real scaled = scaled_c(cell.norm, c_normal[u], u, true);
    Cell::output_backward(o, scaled, Real(dh[u]));
    const float of_normal = cell.dc_scaled[at] * cell.norm.gain_c[u];
    Real carried(dc + c_scale * (of_normal - c_mean - c_normal[u] * c_slope));
    Cell::Gates::state_backward(d, Real(cell.state_prev[at]), carried);
    d[Cell::Gates::kO] = o;
    dc = carried.v;
  }
};

/// The means that the gradient of a normalised vector needs: of the gradient d of n(v), and of
/// d n(v).
struct Means {
  float of_d = 0, of_product = 0;

  __device__ __forceinline__ void add(float d, float normal) {
    of_d += d;
    of_product += d * normal;
  }
  __device__ __forceinline__ void divide(float count) {
    of_d = block_reduce(of_d, Sum()) / count;
    of_product = block_reduce(of_product, Sum()) / count;
  }
  __device__ __forceinline__ float gradient(float d, float normal, float scale) const {
    return scale * (d - of_d - normal * of_product);
  }
};

template <typename Cell, typename E>
__device__ __forceinline__ void clear_row(const GateShape& args, const NormBackwardCell& cell,
                                          E* dgates, int row) {
  for (int u = int(threadIdx.x); u < args.padded; u += kThreads) {
#pragma unroll
    for (int s = 0; s < Cell::kSlots; ++s) store_rounded(dgates + s * args.padded + u, 0.0F);
    cell.dc_scaled[std::int64_t(row) * args.padded + u] = 0;
  }
}

template <typename Cell, typename E>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ GateArgs<NormBackwardCell> args) {
  constexpr int kGates = Cell::kGates, kX = Cell::kX, kZ = Cell::kZ;
  const int row = int(blockIdx.x), padded = args.padded;
  const NormBackwardCell& cell = args.cell[blockIdx.y];
  E* const dgates = static_cast<E*>(cell.dgates) + std::int64_t(row) * Cell::kSlots * padded;
  // Past the end the state passes through unchanged, and so do the gradients in dh and dc.
  if (cell.t >= length_of(args, row)) return clear_row<Cell>(args, cell, dgates, row);
  BackwardRow<Cell, E> r(args, cell, row);
  r.to_c();
  Means of_rh, of_wx;
  for (int u = int(threadIdx.x); u < args.units; u += kThreads) {
    Real d[kGates];
    float dc = cell.dc[r.place(u).at];
    r.from_c(u, d, dc);
#pragma unroll
    for (int k = 0; k < kGates; ++k) {
      of_rh.add(d[k].v * cell.norm.gain_hh[k * args.units + u], r.gate(k, u));
      of_wx.add(d[k].v * cell.norm.gain_ih[k * args.units + u], r.gate(kX + k, u));
    }
  }
  of_rh.divide(float(kGates) * float(args.units));
  of_wx.divide(float(kGates) * float(args.units));
  const float* const scales = cell.norm.scales + row * cells::kNormScales;
  const float rh_scale = scales[cells::kScaleOfRh], wx_scale = scales[cells::kScaleOfWx];
  for (int u = int(threadIdx.x); u < padded; u += kThreads) {
    const bool inside = u < args.units;
    Real d[kGates];
    float& dc = cell.dc[r.place(u).at];
    if (inside) r.from_c(u, d, dc);
    if (args.lengths) r.dh[u] = 0;
#pragma unroll
    for (int k = 0; k < kGates; ++k) {
      float rh = 0, wx = 0;
      if (inside) {
        rh = of_rh.gradient(d[k].v * cell.norm.gain_hh[k * args.units + u], r.gate(k, u), rh_scale);
        wx = of_wx.gradient(d[k].v * cell.norm.gain_ih[k * args.units + u], r.gate(kX + k, u),
                            wx_scale);
      }
      store_rounded(dgates + k * padded + u, rh);
      store_rounded(dgates + (kX + k) * padded + u, wx);
      store_rounded(dgates + (kZ + k) * padded + u, inside ? d[k].v : 0);
    }
  }
}

/// Sums over rows of a [rows, count, padded], times b, which is like it or null: block y of the
/// result is that of block y of `a` and `b`.
template <typename A>
struct ColumnProducts {
  const A* a;
  const float* b;
  std::int64_t a_row, b_row, rows;
  std::int32_t units, padded;
  float* out;  // [count, units]
};

template <typename A>
__global__ void __launch_bounds__(kSumColumns* kSumRows)
    column_products_kernel(const __grid_constant__ ColumnProducts<A> args) {
  const int unit = summed_column(), block = int(blockIdx.y);
  const int at = block * args.padded + unit;
  const float sum = column_sum(args.rows, args.units, [&](std::int64_t row) {
    const float a = as_float(args.a[row * args.a_row + at]);
    return args.b ? a * args.b[row * args.b_row + at] : a;
  });
  if (has_column_sum(args.units)) args.out[block * args.units + unit] = sum;
}

template <typename A>
void column_products(cudaStream_t stream, unsigned count, const ColumnProducts<A>& args) {
  if (args.out)
    launch(stream, dim3(blocks_for(args.units, kSumColumns), count), kSumColumns * kSumRows,
           &column_products_kernel<A>, args);
}

/// Calls visit.operator()<Cell, E>().
template <typename Visit>
void visit_kernel(const GateKernel& kernel, const Visit& visit) {
  cells::visit_cell(kernel.spec, [&]<typename Cell>(Cell) {
    if constexpr (Cell::kProgram.is_normalised) {
      if (kernel.element == Element::kFloat32)
        visit.template operator()<Cell, float>();
      else
        visit.template operator()<Cell, __nv_bfloat16>();
    }
  });
}

template <typename E>
void gain_gradients(cudaStream_t stream, const cells::CellProgram& program,
                    const NormGradients& args) {
  const auto gates = unsigned(program.gates);
  const std::int64_t row = program.slots * args.padded;
  const E* const dz = static_cast<const E*>(args.dgates) + program.first_x_bias() * args.padded;
  const float* const wx = args.gates + program.first_x * args.padded;
  column_products<E>(stream, gates,
                     {dz, args.gates, row, row, args.rows, args.units, args.padded, args.dgain_hh});
  column_products<E>(stream, gates,
                     {dz, wx, row, row, args.rows, args.units, args.padded, args.dgain_ih});
}

}  // namespace

void normalize_inputs(cudaStream_t stream, const cells::CellProgram& program,
                      const NormInputs& args) {
  launch(stream, unsigned(args.rows), kThreads, &normalize_inputs_kernel, program, args);
}

void norm_gates_forward(cudaStream_t stream, const GateKernel& kernel,
                        const GateArgs<NormForwardCell>& args) {
  visit_kernel(kernel, [&]<typename Cell, typename E>() {
    launch(stream, dim3(unsigned(args.batch), unsigned(args.cells)), kThreads,
           &forward_kernel<Cell, E>, args);
  });
}

void norm_gates_backward(cudaStream_t stream, const GateKernel& kernel,
                         const GateArgs<NormBackwardCell>& args) {
  visit_kernel(kernel, [&]<typename Cell, typename E>() {
    launch(stream, dim3(unsigned(args.batch), unsigned(args.cells)), kThreads,
           &backward_kernel<Cell, E>, args);
  });
}

void norm_gradients(cudaStream_t stream, const cells::CellProgram& program,
                    const NormGradients& args) {
  if (args.element == Element::kFloat32)
    gain_gradients<float>(stream, program, args);
  else
    gain_gradients<__nv_bfloat16>(stream, program, args);
  const std::int64_t row = args.padded;
  column_products<float>(
      stream, 1,
      {args.dc_scaled, args.c_normal, row, row, args.rows, args.units, args.padded, args.dgain_c});
  column_products<float>(
      stream, 1,
      {args.dc_scaled, nullptr, row, 0, args.rows, args.units, args.padded, args.dbias_c});
}

}  // namespace unroll::gpu
