/// A linear-chain conditional random field.
#pragma once

#include <cstddef>

#include "cuda/device/device.h"
#include "unroll/kernels/crf.h"

namespace unroll::gpu {

/// Also prepares the kernels of the pass, so ask before a capture.
std::size_t crf_scratch_bytes(const Device& device, CrfPass pass, const CrfSize& size);
void crf_loss(Device& device, const CrfLoss& args);
void crf_loss_gradient(Device& device, const CrfLossGradient& args);
void crf_decode(Device& device, const CrfDecode& args);

}  // namespace unroll::gpu
