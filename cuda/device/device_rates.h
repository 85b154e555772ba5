/// Measures the most that a device can do. The floors of the benchmarks are computed from it.
#pragma once

#include "unroll/cuda_report.h"
#include "unroll/device.h"

namespace unroll::gpu {

/// See cuda_rates().
CudaRates measure_rates(int ordinal, Precision precision);
/// See cuda_exchange_seconds().
double measure_exchange_seconds(int ordinal);

}  // namespace unroll::gpu
