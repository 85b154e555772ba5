/// Draws from rows of log probabilities, on the calling thread.
#pragma once

#include "unroll/kernels/random.h"

namespace unroll::host {

std::size_t sample_scratch_bytes(std::int64_t ids);
void sample(const Sample& args);

}  // namespace unroll::host
