/// What a device can do at most, measured: what floors are made of.
#pragma once

#include "unroll/backend.h"
#include "unroll/cuda_report.h"

namespace unroll::gpu {

/// As cuda_rates().
CudaRates measure_rates(int ordinal, Precision precision);
/// As cuda_exchange_seconds().
double measure_exchange_seconds(int ordinal);

}  // namespace unroll::gpu
