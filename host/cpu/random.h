#pragma once

#include <cstdint>

#include "host/cpu/thread_pool.h"

namespace unroll::host {

/// As unroll::Dropout, on n floats.
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
