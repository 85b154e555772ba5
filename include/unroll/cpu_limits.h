/// What this process may use of the machine, which under taskset or in a container is less than
/// there is. A container is a group of processes (cgroup, version 1 or 2). Groups lie in other
/// groups, and the narrowest limit counts.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace unroll {

struct MemoryLimit {
  /// Bytes that can be allocated now without swapping; the largest number if the system does not
  /// say.
  std::size_t available;
  std::size_t group_bytes = 0;  // the limit of the group that decides; 0: no group decides
  std::string file;             // where that is written; empty if the system does not say
};

struct ProcessorLimit {
  int processors = 1;      // threads that can run at once
  double group_share = 0;  // processors that the group that decides may use; 0: no group decides
  std::string file;        // where that is written; empty: the affinity mask decides
};

/// `root` is where the files of the system are: another folder than / is for tests.
MemoryLimit memory_limit(const std::filesystem::path& root = "/");
/// A group's share that is not a whole number is rounded up: one thread then waits part of the
/// time.
ProcessorLimit processor_limit(const std::filesystem::path& root = "/");

}  // namespace unroll
