/// Inverses and determinants of square matrices.
#pragma once

#include <memory>

#include "cuda/device/device.h"
#include "unroll/kernels/linear_algebra.h"

namespace unroll::gpu {

/// Null if this build has none.
std::unique_ptr<LinearAlgebraKernels> make_linear_algebra(Device& device);

}  // namespace unroll::gpu
