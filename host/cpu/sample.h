/// Draws from rows of log probabilities: each row by one thread.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/random.h"

namespace unroll::host {

std::size_t sample_scratch_bytes(const Device& device, std::int64_t rows, std::int64_t ids);
void sample(Device& device, const Sample& args);

}  // namespace unroll::host
