/// What ends waits of cooperating blocks that would not end (grid_exchange.cuh), and tells the
/// host.
#pragma once

#include <cstdint>

namespace unroll::gpu {

/// A poll takes a third of a microsecond, an ordinary wait some of them: this is more than a
/// second.
inline constexpr std::uint32_t kMostPolls = 1U << 22;
/// Polls from one look at whether another block gave up to the next.
inline constexpr std::uint32_t kPollsBetweenLooks = 1U << 10;

/// The first wait that was given up.
struct GridFault {
  std::uint32_t is_set;
  std::int32_t block;  // of the grid
  std::int32_t flag;   // of those it waited for: the number of a block in its group
  std::uint32_t expected, seen;
};

/// Passed to a kernel whose blocks wait for each other.
struct GridWatch {
  std::uint32_t* stop;  // device memory: 1 once a wait was given up, until the host clears it
  GridFault* fault;     // host memory that the device reaches
};

}  // namespace unroll::gpu
