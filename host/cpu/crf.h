/// The linear-chain conditional random field: threads divide the sequences.
#pragma once

#include <cstddef>

#include "host/cpu/device.h"
#include "unroll/kernels/crf.h"

namespace unroll::host {

std::size_t crf_scratch_bytes(CrfPass pass, const CrfSize& size);
void crf_loss(Device& device, const CrfLoss& args);
void crf_loss_gradient(Device& device, const CrfLossGradient& args);
void crf_decode(Device& device, const CrfDecode& args);

}  // namespace unroll::host
