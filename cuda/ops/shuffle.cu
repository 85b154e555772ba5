#include "cuda/ops/shuffle.h"

#include "cuda/device/launch.h"
#include "cuda/ops/sort.h"
#include "unroll/math/philox.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

__global__ __launch_bounds__(kThreads) void random_keys_kernel(std::uint32_t* keys,
                                                               std::uint32_t* positions,
                                                               std::int64_t count,
                                                               std::uint64_t key,
                                                               const std::int64_t* step) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= count) return;
  keys[k] = math::philox_word(key, std::uint64_t(*step), std::uint64_t(k));
  positions[k] = std::uint32_t(k);
}

__global__ __launch_bounds__(kThreads) void permutation_kernel(const std::uint32_t* sorted,
                                                               std::int32_t* order,
                                                               std::int32_t* inverse,
                                                               std::int64_t count) {
  const std::int64_t k = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= count) return;
  order[k] = std::int32_t(sorted[k]);
  inverse[sorted[k]] = std::int32_t(k);
}

}  // namespace

std::size_t permutation_scratch_bytes(std::int64_t ids) {
  return sort_scratch_bytes(ids);
}

void permutation(Device& device, const Permutation& args) {
  const std::int64_t count = args.order.elements();
  if (count == 0) return;
  const SortScratch scratch(args.scratch, count);
  const unsigned blocks = blocks_for(count, kThreads);
  launch(device.stream(), blocks, kThreads, random_keys_kernel, scratch.keys, scratch.positions,
         count, args.key, args.step.as<std::int64_t>());
  sort_pairs(device, scratch, count, 32);
  launch(device.stream(), blocks, kThreads, permutation_kernel, scratch.sorted_positions,
         args.order.as<std::int32_t>(), args.inverse.as<std::int32_t>(), count);
}

}  // namespace unroll::gpu
