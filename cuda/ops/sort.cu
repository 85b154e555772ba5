#include "cuda/ops/sort.h"

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>

namespace unroll::gpu {
namespace {

constexpr int kArrays = 4;

std::size_t array_bytes(std::int64_t count) {
  return std::size_t(round_up(count * std::int64_t(sizeof(std::uint32_t)), 256));
}

}  // namespace

SortScratch::SortScratch(const View& scratch, std::int64_t count)
    : rest(scratch.as<std::byte>()), rest_bytes(scratch.bytes() - kArrays * array_bytes(count)) {
  for (std::uint32_t** array : {&keys, &positions, &sorted_keys, &sorted_positions}) {
    *array = reinterpret_cast<std::uint32_t*>(rest);
    rest += array_bytes(count);
  }
}

std::size_t sort_scratch_bytes(std::int64_t count, std::size_t rest) {
  // Memory for 32-bit keys also suffices for shorter ones.
  std::uint32_t* none = nullptr;
  std::size_t sort = 0;
  UNROLL_CUDA_CHECK(
      cub::DeviceRadixSort::SortPairs(nullptr, sort, none, none, none, none, int(count)));
  return kArrays * array_bytes(count) + std::max(sort, rest);
}

void sort_pairs(Device& device, const SortScratch& scratch, std::int64_t count, int bits) {
  std::size_t bytes = scratch.rest_bytes;
  UNROLL_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(
      scratch.rest, bytes, scratch.keys, scratch.sorted_keys, scratch.positions,
      scratch.sorted_positions, int(count), 0, bits, device.stream()));
}

}  // namespace unroll::gpu
