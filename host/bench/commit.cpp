#include "host/bench/commit.h"

#include "host/bench/commit_name.h"
#include "unroll/version.h"

namespace unroll::benchmark {

std::string commit_of_build() {
  return kCommit;
}

std::string version_and_commit() {
  const std::string commit = commit_of_build();
  return kVersion + (commit == "unknown" ? std::string() : " (" + commit + ")");
}

}  // namespace unroll::benchmark
