#include "cuda/ops/dropout.h"

#include "cuda/device/launch.h"
#include "cuda/kernels/pack.cuh"
#include "unroll/math/philox.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kBlock = 4;  // elements per Philox block and thread

struct Masking {
  const float* in;
  float* out;  // may be in
  std::int64_t elements;
  std::uint64_t key;
  const std::int64_t* step;
  std::uint32_t threshold;
  float scale;
};

template <bool packs>
__global__ __launch_bounds__(kThreads) void dropout_kernel(__grid_constant__ const Masking mask) {
  const std::int64_t block = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t first = block * kBlock;
  if (first >= mask.elements) return;
  const math::PhiloxBlock bits =
      math::philox(mask.key, std::uint64_t(*mask.step), std::uint64_t(block));
  const auto apply = [&](float x, int k) {
    return bits.word[k] >= mask.threshold ? x * mask.scale : 0.0F;
  };
  if (packs && first + kBlock <= mask.elements) {
    Pack<float, kBlock> x = load<kBlock>(mask.in + first);
    for (int k = 0; k < kBlock; ++k) x.v[k] = apply(x.v[k], k);
    store(mask.out + first, x);
  } else {
#pragma unroll
    for (int k = 0; k < kBlock; ++k)
      if (first + k < mask.elements) mask.out[first + k] = apply(mask.in[first + k], k);
  }
}

}  // namespace

void dropout(Device& device, const Dropout& args) {
  const Masking mask{args.in.as<float>(),          args.out.as<float>(),
                     args.in.elements(),           args.key,
                     args.step.as<std::int64_t>(), math::dropout_threshold(args.rate),
                     1 / (1 - args.rate)};
  if (mask.elements == 0) return;
  const bool packs = packs_of_four(mask.in, kBlock) && packs_of_four(mask.out, kBlock);
  launch(device.stream(), blocks_for(mask.elements, kThreads * kBlock), kThreads,
         packs ? dropout_kernel<true> : dropout_kernel<false>, mask);
}

}  // namespace unroll::gpu
