/// Ends waits between blocks that would never end (grid_exchange.cuh), and reports them to the
/// host.
#pragma once

#include <cstdint>

namespace unroll::gpu {

/// A poll takes a third of a microsecond and an ordinary wait needs a few of them: this is more
/// than a second.
inline constexpr std::uint32_t kMostPolls = 1U << 22;
/// How many polls pass between two checks whether another block gave up.
inline constexpr std::uint32_t kPollsBetweenLooks = 1U << 10;

/// The first wait that was given up.
struct GridFault {
  std::uint32_t is_set;
  std::int32_t block;  // index in the grid
  std::int32_t flag;   // the awaited block: its number in the group
  std::uint32_t expected, seen;
};

/// An argument of kernels whose blocks wait for each other.
struct GridWatch {
  std::uint32_t* stop;  // device memory: 1 once a wait was given up, until the host clears it
  GridFault* fault;     // host memory that the device can write
};

}  // namespace unroll::gpu
