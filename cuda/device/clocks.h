/// The clocks and the power limit of a GPU, for reports of measurements.
#pragma once

#include <string>

namespace unroll::gpu {

/// "SM 1980 of at most 1980 MHz, memory 2619 MHz, power limit 700 W", from the driver's management
/// library (NVML); empty where it is not installed. Reads settings and changes none.
std::string clocks(int ordinal);

}  // namespace unroll::gpu
