/// oneDNN's recurrent primitives behind the interface of our recurrent node, to be measured beside
/// it. They are in libunroll_onednn.so, which is opened the first time somebody asks: the program
/// itself does not link oneDNN.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "unroll/backend.h"

namespace unroll::benchmark {

/// "2.6.3"; nothing if there is no module or it does not load, and `why_not`, if given, is then
/// why.
std::optional<std::string> onednn_version(std::string* why_not = nullptr);

/// A plan on float32 in host memory, which computes in the caller's thread and `threads` - 1 of
/// OpenMP's; 0: one per processor that this process may use. A call returns when its work is done.
/// Between forward() and backward() x must stay as it is, and prepare() must have been called since
/// the weights changed.
///
/// Errors    Unsupported: dropout, lengths, and what oneDNN refuses. std::runtime_error:
///           there is no module.
std::unique_ptr<RecurrentPlan> onednn_recurrent_plan(const RecurrentArgs& args, int threads);

}  // namespace unroll::benchmark
