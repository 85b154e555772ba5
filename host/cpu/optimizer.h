/// One step of an optimiser over all parameters.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/update.h"

namespace unroll::host {

std::size_t apply_gradients_scratch_bytes(std::span<const ParameterUpdate> parameters);
void apply_gradients(Device& device, const ApplyGradients& args);

}  // namespace unroll::host
