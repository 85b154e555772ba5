/// The commit that the program was built from, in a source of its own: a new commit compiles only
/// that again.
#pragma once

#include <string>

namespace unroll::benchmark {

/// "82e449e017", with "-dirty" if sources differed from it; "unknown" if they were not in git.
std::string commit_of_build();

/// "0.1.0 (82e449e017)", or "0.1.0" if the commit is not known.
std::string version_and_commit();

}  // namespace unroll::benchmark
