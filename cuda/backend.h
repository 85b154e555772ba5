/// Makes the CUDA backend.
#pragma once

#include <memory>

#include "unroll/backend.h"

namespace unroll::gpu {

/// `ordinal` is a device that can be used, in the order in which CUDA numbers devices.
std::shared_ptr<Backend> make_backend(int ordinal, const CudaOptions& options);

}  // namespace unroll::gpu
