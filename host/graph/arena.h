/// Places buffers with known lifetimes in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace unroll {

/// A buffer alive during the steps [first, last] of a run.
struct Lifetime {
  std::size_t bytes;
  std::int64_t first, last;
};

struct ArenaLayout {
  std::vector<std::size_t> offsets;  // one per buffer
  std::size_t bytes = 0;             // of the whole block
};

inline constexpr std::size_t kArenaAlignment = 256;

/// The least multiple of kArenaAlignment that is not below `bytes`.
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

/// Offsets that are multiples of kArenaAlignment, such that buffers alive at the same time do not
/// overlap. Largest first, each at the lowest offset that is free throughout its life: within a few
/// percent of optimal on the graphs of interest (Pisarchyk & Lee 2020, "greedy by size").
ArenaLayout lay_out(const std::vector<Lifetime>& buffers);

}  // namespace unroll
