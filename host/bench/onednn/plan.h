/// Stacks of layers, computed by oneDNN.
#pragma once

#include <memory>

#include "unroll/backend.h"

namespace unroll::benchmark {

/// See onednn_recurrent_plan() in host/bench/onednn_module.h.
std::unique_ptr<RecurrentPlan> make_onednn_plan(const RecurrentArgs& args, int threads);

}  // namespace unroll::benchmark
