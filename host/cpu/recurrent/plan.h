/// The recurrent stack on the CPU.
#pragma once

#include <memory>

#include "host/cpu/device.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::host {

std::unique_ptr<RecurrentPlan> make_recurrent_plan(Device& device, const RecurrentArgs& args);

}  // namespace unroll::host
