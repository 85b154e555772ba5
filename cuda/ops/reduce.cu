#include "cuda/ops/reduce.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <type_traits>

#include "cuda/device/launch.h"
#include "cuda/kernels/strided.cuh"
#include "cuda/ops/reduction.cuh"
#include "unroll/kernels/elementwise.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256, kMostThreads = 1024;

/// The input as [outer, middle, inner]; the middle is reduced.
struct Middle {
  const float* in;
  float* out;  // [outer, inner]
  std::int64_t outer, middle, inner;
  float scale;
};

/// Contiguous rows, each divided into `parts` of `size` elements; the last may be shorter.
struct Rows {
  const float* in;
  float* out;  // [rows, parts]
  std::int64_t rows, columns, parts, size;
  float scale;
};

/// One team per part of each row.
template <typename Combine, bool whole_block, int width>
__global__ __launch_bounds__(kTeamBlock) void reduce_rows_kernel(
    __grid_constant__ const Rows args) {
  const Team<whole_block> team;
  if (team.row >= args.rows * args.parts) return;
  const std::int64_t first = team.row % args.parts * args.size;
  const float* const part = args.in + team.row / args.parts * args.columns + first;
  const float result =
      team.template reduce<width>(min(args.size, args.columns - first), Combine(),
                                  [&](std::int64_t i) { return load<width>(part + i); });
  if (team.rank == 0) args.out[team.row] = result * args.scale;
}

/// The threads of a block lie side by side for outputs; several rows of them divide the middle.
template <typename Combine>
__global__ __launch_bounds__(kMostThreads) void reduce_columns_kernel(
    __grid_constant__ const Middle args) {
  __shared__ float partial[kMostThreads];
  const std::int64_t output = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const Combine combine;
  float result = Combine::kIdentity;
  if (output < args.outer * args.inner) {
    const std::int64_t row = std::int64_t(std::uint64_t(output) / std::uint64_t(args.inner));
    const float* in = args.in + row * args.middle * args.inner + (output - row * args.inner);
#pragma unroll 8
    for (std::int64_t k = threadIdx.y; k < args.middle; k += blockDim.y)
      result = combine(result, in[k * args.inner]);
  }
  partial[threadIdx.y * blockDim.x + threadIdx.x] = result;
  __syncthreads();
  if (threadIdx.y > 0 || output >= args.outer * args.inner) return;
  for (unsigned y = 1; y < blockDim.y; ++y)
    result = combine(result, partial[y * blockDim.x + threadIdx.x]);
  args.out[output] = result * args.scale;
}

/// The reduced elements are not contiguous, which is rare: one thread per output.
struct Scattered {
  const float* in;
  float* out;
  Strided<1> kept, reduced;
  std::int64_t outputs, terms;
  float scale;
};

template <typename Combine>
__global__ __launch_bounds__(kThreads) void reduce_scattered_kernel(
    __grid_constant__ const Scattered args) {
  const std::int64_t output = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (output >= args.outputs) return;
  std::int64_t first[1], term[1];
  args.kept.locate(std::uint64_t(output), first);
  const Combine combine;
  float result = Combine::kIdentity;
  for (std::int64_t k = 0; k < args.terms; ++k) {
    args.reduced.locate(std::uint64_t(k), term);
    result = combine(result, args.in[first[0] + term[0]]);
  }
  args.out[output] = result * args.scale;
}

template <typename Combine>
void reduce_parts(const Device& device, const Rows& args) {
  const bool whole_block = args.size > 1024;
  with_team(whole_block, packs_of_four(args.in, args.columns | args.size),
            [&](auto whole, auto width) {
              launch(device.stream(), team_grid(whole, args.rows * args.parts), kTeamBlock,
                     reduce_rows_kernel<Combine, whole, width>, args);
            });
}

/// A few long rows would leave most of a GPU idle, so their parts are reduced first.
template <typename Combine>
void reduce_rows(const Device& device, const Middle& args) {
  constexpr std::int64_t kWorthwhile = 16384;
  const std::int64_t parts = std::min(args.middle / kWorthwhile, Device::kPartialSums / args.outer);
  if (parts < 2)
    return reduce_parts<Combine>(
        device, {args.in, args.out, args.outer, args.middle, 1, args.middle, args.scale});
  const std::int64_t size = round_up((args.middle + parts - 1) / parts, 4);
  float* const partial = device.partial_sums();
  reduce_parts<Combine>(device, {args.in, partial, args.outer, args.middle, parts, size, 1});
  reduce_parts<Combine>(device, {partial, args.out, args.outer, parts, 1, parts, args.scale});
}

template <typename Combine>
void reduce_columns(const Device& device, const Middle& args) {
  // Enough threads to fill a GPU, each with at least eight terms in flight.
  const std::int64_t outputs = args.outer * args.inner;
  unsigned parts = kMostThreads / kWarp;
  while (parts > 1 && (parts * 8 > args.middle || parts * outputs > (1 << 18))) parts /= 2;
  const unsigned side = std::max(unsigned(kWarp), kThreads / parts);
  launch(device.stream(), blocks_for(outputs, side), dim3(side, parts),
         reduce_columns_kernel<Combine>, args);
}

/// The axes that are kept and those that are reduced.
struct Axes {
  Strided<1> kept, reduced;
  std::int64_t outputs, terms;

  explicit Axes(const Reduce& args) : outputs(args.out.elements()) {
    std::int64_t stride = args.in.elements();
    terms = stride / outputs;
    for (int axis = 0; axis < args.in.shape.rank() && stride > 0; ++axis) {
      stride /= args.in.shape[axis];
      (args.out.shape[axis] == 1 ? reduced : kept).push(args.in.shape[axis], {stride});
    }
  }
};

template <typename Combine>
void reduce_with(const Device& device, const Reduce& args, float scale) {
  const float* in = args.in.as<float>();
  float* out = args.out.as<float>();
  const Axes axes(args);
  if (axes.reduced.rank > 1) {
    launch(device.stream(), blocks_for(axes.outputs, kThreads), kThreads,
           reduce_scattered_kernel<Combine>,
           Scattered{in, out, axes.kept, axes.reduced, axes.outputs, axes.terms, scale});
    return;
  }
  const std::int64_t inner = std::max<std::int64_t>(1, axes.reduced.inner_stride(0));
  const Middle middle{in, out, axes.outputs / inner, axes.terms, inner, scale};
  if (inner == 1 && axes.terms >= 8)
    reduce_rows<Combine>(device, middle);
  else
    reduce_columns<Combine>(device, middle);
}

// Other element types, and places: every output has a block, whose threads share its terms.

/// What a thread has found. Values merge in a fixed order.
template <typename T>
struct TypedSum {
  using Value = T;
  static __device__ Value none() { return 0; }
  static __device__ Value term(T x, std::int64_t) { return x; }
  static __device__ Value merge(Value a, Value b) {
    return wrapping(a, b, [](const auto& x, const auto& y) { return x + y; });
  }
};

template <bool greatest, typename T>
struct TypedExtreme {
  using Value = T;
  static __device__ Value none() { return math::worst<greatest, T>(); }
  static __device__ Value term(T x, std::int64_t) { return x; }
  static __device__ Value merge(Value a, Value b) {
    return greatest ? math::maximum(a, b) : math::minimum(a, b);
  }
};

template <bool greatest, typename T>
struct PlaceOfExtreme {
  struct Value {
    T best;
    std::int64_t place;  // -1: none
  };
  static __device__ Value none() { return {T(0), -1}; }
  static __device__ Value term(T x, std::int64_t place) { return {x, place}; }
  static __device__ Value merge(Value a, Value b) {
    if (a.place < 0 || b.place < 0) return a.place < 0 ? b : a;
    if (math::beats<greatest>(a.best, b.best)) return a;
    return math::beats<greatest>(b.best, a.best) || b.place < a.place ? b : a;
  }
};

template <typename T, typename Result>
struct Typed {
  const T* in;
  Result* out;
  Strided<1> kept, reduced;
  std::int64_t terms;
  T scale;
};

template <typename Fold, typename T, typename Result>
__global__ __launch_bounds__(kThreads) void reduce_typed_kernel(
    __grid_constant__ const Typed<T, Result> args) {
  using Value = typename Fold::Value;
  __shared__ Value found[kThreads];
  std::int64_t first[1], term[1];
  args.kept.locate(blockIdx.x, first);
  Value mine = Fold::none();
  for (std::int64_t k = threadIdx.x; k < args.terms; k += blockDim.x) {
    args.reduced.locate(std::uint64_t(k), term);
    mine = Fold::merge(mine, Fold::term(args.in[first[0] + term[0]], k));
  }
  found[threadIdx.x] = mine;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      found[threadIdx.x] = Fold::merge(found[threadIdx.x], found[threadIdx.x + half]);
  }
  if (threadIdx.x > 0) return;
  if constexpr (!std::is_same_v<Value, T>)
    args.out[blockIdx.x] = found[0].place;
  else if constexpr (std::is_floating_point_v<T>)
    args.out[blockIdx.x] = found[0] * args.scale;
  else
    args.out[blockIdx.x] = found[0];
}

template <typename Fold, typename T, typename Result>
void start_typed(const Device& device, const Reduce& args, double scale) {
  const Axes axes(args);
  const unsigned threads = axes.terms < kThreads ? kWarp : kThreads;
  launch(device.stream(), unsigned(axes.outputs), threads, reduce_typed_kernel<Fold, T, Result>,
         Typed<T, Result>{args.in.as<T>(), args.out.as<Result>(), axes.kept, axes.reduced,
                          axes.terms, T(scale)});
}

template <typename T>
void reduce_typed(const Device& device, const Reduce& args) {
  switch (args.kind) {
    case ReduceKind::kSum:
      if constexpr (!std::is_same_v<T, bool>)
        return start_typed<TypedSum<T>, T, T>(device, args, args.scale);
      break;
    case ReduceKind::kMax:
      return start_typed<TypedExtreme<true, T>, T, T>(device, args, 1);
    case ReduceKind::kMin:
      return start_typed<TypedExtreme<false, T>, T, T>(device, args, 1);
    case ReduceKind::kArgMax:
      return start_typed<PlaceOfExtreme<true, T>, T, std::int64_t>(device, args, 1);
    case ReduceKind::kArgMin:
      return start_typed<PlaceOfExtreme<false, T>, T, std::int64_t>(device, args, 1);
  }
  throw std::invalid_argument("reduce: got a sum of bool, expected one of numbers");
}

}  // namespace

void reduce(Device& device, const Reduce& args) {
  if (args.out.elements() == 0) return;
  if (args.in.dtype != DType::kFloat32 || gives_place(args.kind))
    with_type(args.in.dtype, [&](auto zero) { reduce_typed<decltype(zero)>(device, args); });
  else if (args.kind == ReduceKind::kSum)
    reduce_with<Sum>(device, args, float(args.scale));
  else if (args.kind == ReduceKind::kMax)
    reduce_with<Max>(device, args, 1);
  else
    reduce_with<Min>(device, args, 1);
}

}  // namespace unroll::gpu
