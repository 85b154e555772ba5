/// The facts that times depend on, as lines for the head of a CSV.
#pragma once

#include <string>
#include <vector>

#include "unroll/backend.h"

namespace unroll::benchmark {

/// Processor or GPU, clocks, driver, libraries, and the commit that the program was built from.
std::vector<std::string> describe_machine(DeviceKind device, int ordinal, int threads);

}  // namespace unroll::benchmark
