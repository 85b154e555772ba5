#include "cuda/ops/elementwise.h"

#include <cstdint>
#include <type_traits>

#include "cuda/device/launch.h"
#include "cuda/kernels/strided.cuh"
#include "unroll/kernels/elementwise.h"
#include "unroll/math/convert.h"

namespace unroll::gpu {
namespace {

using Kind = ElementwiseKind;

constexpr int kThreads = 256;

enum Operand { kA, kB, kOut };

struct Walk {
  const float *a, *b;
  float* out;  // may be a or b
  Strided<3> nest;
  std::int64_t elements;
  float alpha, beta;
};

template <int width>
__device__ Pack<float, width> load_or_repeat(const float* from, std::int64_t stride) {
  if (stride != 0) return load<width>(from);
  Pack<float, width> pack;
  for (float& x : pack.v) x = *from;
  return pack;
}

/// float32 to float32: one pack per thread.
template <Kind kind, int width>
__global__ __launch_bounds__(kThreads) void elementwise_kernel(__grid_constant__ const Walk walk) {
  constexpr bool kTwo = has_two_arguments(kind);
  const std::int64_t first = (std::int64_t(blockIdx.x) * kThreads + threadIdx.x) * width;
  if (first >= walk.elements) return;
  std::int64_t at[3];
  walk.nest.locate(std::uint64_t(first), at);
  const float *a = walk.a + at[kA], *b = walk.b + at[kB];
  float* out = walk.out + at[kOut];
  const std::int64_t a_stride = walk.nest.inner_stride(kA), b_stride = walk.nest.inner_stride(kB);
  if (const std::int64_t rest = walk.elements - first; rest < width) {
    for (std::int64_t k = 0; k < rest; ++k)
      out[k] = element<kind>(a[k * a_stride], kTwo ? b[k * b_stride] : 0.0F, walk.alpha, walk.beta);
    return;
  }
  const Pack<float, width> x = load_or_repeat<width>(a, a_stride);
  Pack<float, width> y = x;
  if constexpr (kTwo) y = load_or_repeat<width>(b, b_stride);
  for (int k = 0; k < width; ++k) y.v[k] = element<kind>(x.v[k], y.v[k], walk.alpha, walk.beta);
  store(out, y);
}

template <Kind kind>
void start(const Device& device, const Walk& walk) {
  const bool packs = walk.nest.packs_of_four(kA, walk.a) && walk.nest.packs_of_four(kB, walk.b) &&
                     walk.nest.packs_of_four(kOut, walk.out);
  launch(device.stream(), blocks_for(walk.elements, kThreads * (packs ? 4 : 1)), kThreads,
         packs ? elementwise_kernel<kind, 4> : elementwise_kernel<kind, 1>, walk);
}

/// The kinds that take or give another element type: one element per thread.
template <typename T, typename Result>
struct TypedWalk {
  const T *a, *b;
  Result* out;
  Strided<3> nest;
  std::int64_t elements;
  T alpha, beta;
};

template <Kind kind, typename T, typename Result>
__global__ __launch_bounds__(kThreads) void typed_elementwise_kernel(
    __grid_constant__ const TypedWalk<T, Result> walk) {
  const std::int64_t index = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= walk.elements) return;
  std::int64_t at[3];
  walk.nest.locate(std::uint64_t(index), at);
  const T a = walk.a[at[kA]], b = walk.b[at[kB]];
  if constexpr (gives_bool(kind))
    walk.out[at[kOut]] = truth<kind>(a, b);
  else
    walk.out[at[kOut]] = element<kind>(a, b, walk.alpha, walk.beta);
}

template <Kind kind, typename T, typename Result>
void start_typed(const Device& device, const Elementwise& args, const Strided<3>& nest) {
  const T* const a = args.a.as<T>();
  launch(device.stream(), blocks_for(args.out.elements(), kThreads), kThreads,
         typed_elementwise_kernel<kind, T, Result>,
         TypedWalk<T, Result>{a, args.b ? args.b.as<T>() : a, args.out.as<Result>(), nest,
                              args.out.elements(), math::converted<T>(args.alpha),
                              math::converted<T>(args.beta)});
}

template <typename To, typename From>
__global__ __launch_bounds__(kThreads) void cast_kernel(const From* in, To* out,
                                                        std::int64_t elements) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < elements) out[k] = math::converted<To>(in[k]);
}

/// T: an unsigned integer of the elements' size, because only bits are moved.
template <typename T>
struct Choice {
  const bool* condition;
  const T *a, *b;
  T* out;
  Strided<4> nest;
  std::int64_t elements;
};

template <typename T>
__global__ __launch_bounds__(kThreads) void where_kernel(__grid_constant__ const Choice<T> choice) {
  const std::int64_t index = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= choice.elements) return;
  std::int64_t at[4];
  choice.nest.locate(std::uint64_t(index), at);
  choice.out[at[3]] = choice.condition[at[0]] ? choice.a[at[1]] : choice.b[at[2]];
}

template <typename T>
void choose(const Device& device, const Where& args) {
  const Choice<T> choice{
      args.condition.as<bool>(),
      static_cast<const T*>(args.a.data),
      static_cast<const T*>(args.b.data),
      static_cast<T*>(args.out.data),
      {broadcast_nest(args.condition.shape, args.a.shape, args.b.shape, args.out.shape)},
      args.out.elements()};
  launch(device.stream(), blocks_for(choice.elements, kThreads), kThreads, where_kernel<T>, choice);
}

void elementwise_floats(const Device& device, const Elementwise& args, const Strided<3>& nest) {
  const float* const a = args.a.as<float>();
  const Walk walk{a,
                  args.b ? args.b.as<float>() : a,
                  args.out.as<float>(),
                  nest,
                  args.out.elements(),
                  float(args.alpha),
                  float(args.beta)};
  with_kind<float>(args.kind, [&](auto constant) {
    constexpr Kind kKind = decltype(constant)::value;
    if constexpr (!gives_bool(kKind)) start<kKind>(device, walk);
  });
}

}  // namespace

void elementwise(Device& device, const Elementwise& args) {
  if (args.out.elements() == 0) return;
  const Strided<3> nest{
      broadcast_nest(args.a.shape, args.b ? args.b.shape : args.a.shape, args.out.shape)};
  if (args.a.dtype == DType::kFloat32 && !gives_bool(args.kind))
    return elementwise_floats(device, args, nest);
  with_type(args.a.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_kind<T>(args.kind, [&](auto constant) {
      constexpr Kind kKind = decltype(constant)::value;
      if constexpr (gives_bool(kKind))
        start_typed<kKind, T, bool>(device, args, nest);
      else if constexpr (!std::is_same_v<T, float>)
        start_typed<kKind, T, T>(device, args, nest);
    });
  });
}

void cast(Device& device, const Cast& args) {
  const std::int64_t elements = args.in.elements();
  if (elements == 0) return;
  with_type(args.in.dtype, [&](auto from) {
    with_type(args.out.dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      launch(device.stream(), blocks_for(elements, kThreads), kThreads, cast_kernel<To, From>,
             args.in.as<From>(), args.out.as<To>(), elements);
    });
  });
}

void where(Device& device, const Where& args) {
  if (args.out.elements() == 0) return;
  switch (size_of(args.out.dtype)) {
    case 1:
      return choose<std::uint8_t>(device, args);
    case 4:
      return choose<std::uint32_t>(device, args);
    default:
      return choose<std::uint64_t>(device, args);
  }
}

}  // namespace unroll::gpu
