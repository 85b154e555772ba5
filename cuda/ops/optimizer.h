/// One step of an optimiser over all parameters.
#pragma once

#include <cstddef>
#include <span>

#include "cuda/device/device.h"
#include "unroll/kernels/update.h"

namespace unroll::gpu {

std::size_t apply_gradients_scratch_bytes(const Device& device,
                                          std::span<const ParameterUpdate> parameters);
void apply_gradients(Device& device, const ApplyGradients& args);

}  // namespace unroll::gpu
