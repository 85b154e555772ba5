/// Replaces cuda/kernels/shared_memory.cuh: the emulation is compiled with this folder first.
#pragma once

#include <cstddef>

#include "tests/cuda_emulation/include/emulation.h"

namespace unroll::gpu {

inline std::byte* dynamic_shared() {
  return emulation::dynamic_shared();
}

}  // namespace unroll::gpu
