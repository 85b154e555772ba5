/// Sorts pairs of a key and a position, in memory that the caller provides.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device/device.h"
#include "unroll/tensor.h"

namespace unroll::gpu {

/// Arrays with one 32-bit word per pair, and memory for CUB.
struct SortScratch {
  std::uint32_t *keys, *positions;                // in
  std::uint32_t *sorted_keys, *sorted_positions;  // out
  std::byte* rest;
  std::size_t rest_bytes;

  SortScratch(const View& scratch, std::int64_t count);
};

/// `rest`: bytes that the caller needs in SortScratch::rest for its work after the sort.
std::size_t sort_scratch_bytes(std::int64_t count, std::size_t rest = 0);

/// Sorts by the lowest `bits` of the keys, ascending; equal keys keep their order.
void sort_pairs(Device& device, const SortScratch& scratch, std::int64_t count, int bits);

}  // namespace unroll::gpu
