#include "cuda/ops/elementwise.h"

#include <cmath>

#include "cuda/device/launch.h"
#include "cuda/kernels/strided.cuh"
#include "unroll/cells/activations.h"

namespace unroll::gpu {
namespace {

using Kind = ElementwiseKind;
using cells::Activation;

constexpr int kThreads = 256;

__host__ __device__ constexpr bool has_two_arguments(Kind kind) {
  return kind == Kind::kAdd || kind == Kind::kSubtract || kind == Kind::kMultiply ||
         kind == Kind::kDivide || kind == Kind::kEqual || kind == Kind::kTanhGradient ||
         kind == Kind::kLogisticGradient || kind == Kind::kReluGradient;
}

template <Kind kind>
__device__ float apply(float a, float b, float alpha, float beta) {
  if constexpr (kind == Kind::kCopy) return a;
  if constexpr (kind == Kind::kAffine) return alpha * a + beta;
  if constexpr (kind == Kind::kAdd) return a + b;
  if constexpr (kind == Kind::kSubtract) return a - b;
  if constexpr (kind == Kind::kMultiply) return a * b;
  if constexpr (kind == Kind::kDivide) return a / b;
  if constexpr (kind == Kind::kTanh) return tanhf(a);
  if constexpr (kind == Kind::kLogistic) return cells::logistic(a);
  if constexpr (kind == Kind::kRelu) return cells::relu(a);
  if constexpr (kind == Kind::kExp) return expf(a);
  if constexpr (kind == Kind::kLog) return logf(a);
  if constexpr (kind == Kind::kEqual) return a == b ? 1.0F : 0.0F;
  if constexpr (kind == Kind::kTanhGradient) return b * cells::derivative<Activation::kTanh>(a);
  if constexpr (kind == Kind::kLogisticGradient)
    return b * cells::derivative<Activation::kLogistic>(a);
  if constexpr (kind == Kind::kReluGradient) return b * cells::derivative<Activation::kRelu>(a);
  if constexpr (kind == Kind::kFinite) return isfinite(a) ? a : 0.0F;
}

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

/// One pack per thread.
template <Kind kind, int width>
__global__ __launch_bounds__(kThreads) void elementwise_kernel(__grid_constant__ const Walk walk) {
  const std::int64_t first = (std::int64_t(blockIdx.x) * kThreads + threadIdx.x) * width;
  if (first >= walk.elements) return;
  std::int64_t at[3];
  walk.nest.locate(std::uint64_t(first), at);
  const float *a = walk.a + at[kA], *b = walk.b + at[kB];
  float* out = walk.out + at[kOut];
  const std::int64_t a_stride = walk.nest.inner_stride(kA), b_stride = walk.nest.inner_stride(kB);
  if (const std::int64_t rest = walk.elements - first; rest < width) {
    for (std::int64_t k = 0; k < rest; ++k)
      out[k] = apply<kind>(a[k * a_stride], has_two_arguments(kind) ? b[k * b_stride] : 0.0F,
                           walk.alpha, walk.beta);
    return;
  }
  const Pack<float, width> x = load_or_repeat<width>(a, a_stride);
  Pack<float, width> y = x;
  if constexpr (has_two_arguments(kind)) y = load_or_repeat<width>(b, b_stride);
  for (int k = 0; k < width; ++k) y.v[k] = apply<kind>(x.v[k], y.v[k], walk.alpha, walk.beta);
  store(out, y);
}

template <Kind kind>
void start(const Device& device, const Walk& walk) {
  const bool packs = walk.nest.packs_of_four(kA, walk.a) && walk.nest.packs_of_four(kB, walk.b) &&
                     walk.nest.packs_of_four(kOut, walk.out);
  launch(device.stream(), blocks_for(walk.elements, kThreads * (packs ? 4 : 1)), kThreads,
         packs ? elementwise_kernel<kind, 4> : elementwise_kernel<kind, 1>, walk);
}

}  // namespace

void elementwise(Device& device, const Elementwise& args) {
  const Shape& to = args.out.shape;
  if (to.elements() == 0) return;
  const View b = args.b ? args.b : args.a;
  Walk walk{args.a.as<float>(),
            b.as<float>(),
            args.out.as<float>(),
            {broadcast_nest(args.a.shape, b.shape, to)},
            to.elements(),
            args.alpha,
            args.beta};
  switch (args.kind) {
    case Kind::kCopy:
      return start<Kind::kCopy>(device, walk);
    case Kind::kAffine:
      return start<Kind::kAffine>(device, walk);
    case Kind::kAdd:
      return start<Kind::kAdd>(device, walk);
    case Kind::kSubtract:
      return start<Kind::kSubtract>(device, walk);
    case Kind::kMultiply:
      return start<Kind::kMultiply>(device, walk);
    case Kind::kDivide:
      return start<Kind::kDivide>(device, walk);
    case Kind::kTanh:
      return start<Kind::kTanh>(device, walk);
    case Kind::kLogistic:
      return start<Kind::kLogistic>(device, walk);
    case Kind::kRelu:
      return start<Kind::kRelu>(device, walk);
    case Kind::kExp:
      return start<Kind::kExp>(device, walk);
    case Kind::kLog:
      return start<Kind::kLog>(device, walk);
    case Kind::kEqual:
      return start<Kind::kEqual>(device, walk);
    case Kind::kTanhGradient:
      return start<Kind::kTanhGradient>(device, walk);
    case Kind::kLogisticGradient:
      return start<Kind::kLogisticGradient>(device, walk);
    case Kind::kReluGradient:
      return start<Kind::kReluGradient>(device, walk);
    case Kind::kFinite:
      return start<Kind::kFinite>(device, walk);
  }
}

}  // namespace unroll::gpu
