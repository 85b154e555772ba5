/// Dropout with random numbers that depend only on key, step and index.
#pragma once

#include <cstdint>

#include "host/cpu/device.h"
#include "unroll/kernels/random.h"

namespace unroll::host {

void dropout(Device& device, const Dropout& args);

/// Like unroll::Dropout, for n floats.
struct DropoutArgs {
  const float* in;
  float* out;
  std::int64_t n;
  float rate;
  std::uint64_t key;
  const std::int64_t* step;
};
void apply_dropout(ThreadPool& pool, const DropoutArgs& args);

}  // namespace unroll::host
