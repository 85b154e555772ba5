#pragma once

#include <string>

namespace unroll::gpu {

/// "SM 1980 of at most 1980 MHz, memory 2619 MHz, power limit 700 W", from the driver's management
/// library; empty where that is not installed. Reads settings and changes none.
std::string clocks(int ordinal);

}  // namespace unroll::gpu
