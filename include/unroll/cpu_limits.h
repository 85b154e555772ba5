/// What this process may use of the machine: under taskset or in a container less than there is.
/// A container is a group of processes (cgroup, version 1 or 2), which lies in others: the
/// narrowest limit of all of them counts.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace unroll {

struct MemoryLimit {
  /// Bytes that can be had now without swapping; the largest number where the system does not say.
  std::size_t available;
  std::size_t group_bytes = 0;  // what the group that decides may use in all; 0: no group does
  std::string file;             // that says so; empty where the system does not say
};

struct ProcessorLimit {
  int processors = 1;      // threads that can run at once
  double group_share = 0;  // processors' time that the group that decides may use; 0: no group does
  std::string file;        // that says so; empty: the affinity mask does
};

/// `root`    where the files of the system are; another folder than / is for tests.
MemoryLimit memory_limit(const std::filesystem::path& root = "/");
/// A share that is no whole number is rounded up: the last thread then waits part of the time.
ProcessorLimit processor_limit(const std::filesystem::path& root = "/");

}  // namespace unroll
