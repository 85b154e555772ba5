/// Makes the CUDA backend.
#pragma once

#include <memory>

#include "unroll/backend.h"

namespace unroll::gpu {

/// `ordinal`: CUDA's number of a device that can be used.
std::shared_ptr<Backend> make_backend(int ordinal, const CudaOptions& options);

}  // namespace unroll::gpu
