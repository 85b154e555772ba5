/// oneDNN's recurrent primitives behind the interface of our recurrent node, so that both can be
/// measured. They are in libunroll_onednn.so, which is loaded on first use: the program itself does
/// not link to oneDNN.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "unroll/backend.h"

namespace unroll::benchmark {

/// "2.6.3"; nullopt if there is no module or it does not load. `why_not`, if given, receives the
/// reason.
std::optional<std::string> onednn_version(std::string* why_not = nullptr);

/// A plan for float32 in host memory. It computes on the caller's thread and `threads` - 1 threads
/// of OpenMP; 0: one per processor that this process may use. A call returns when its work is done.
/// Between forward() and backward() x must not change. Call prepare() after the weights have
/// changed.
///
/// Errors    Unsupported: dropout, lengths, and whatever oneDNN refuses. std::runtime_error: there
///           is no module.
std::unique_ptr<RecurrentPlan> onednn_recurrent_plan(const RecurrentArgs& args, int threads);

}  // namespace unroll::benchmark
