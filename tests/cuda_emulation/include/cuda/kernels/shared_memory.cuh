/// In place of cuda/kernels/shared_memory.cuh: this folder comes first where the emulation is
/// compiled.
#pragma once

#include <cstddef>

#include "tests/cuda_emulation/include/emulation.h"

namespace unroll::gpu {

inline std::byte* dynamic_shared() {
  return emulation::dynamic_shared();
}

}  // namespace unroll::gpu
