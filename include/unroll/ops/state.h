/// Variables and their changes.
#pragma once

#include <vector>

#include "unroll/graph.h"

namespace unroll {

/// x itself, through which no gradient flows.
Tensor stop_gradient(Tensor x);

// Writes to variables. A run does them last, after everything else in it has read the old values.
// The result has no elements: fetch it to make the write happen. No gradient.

/// variable = value
Tensor assign(Tensor variable, Tensor value);
/// The same, with 0 for each element that is not finite.
Tensor assign_finite(Tensor variable, Tensor value);
/// variable += value
Tensor assign_add(Tensor variable, Tensor value);
/// Fetching it fetches all of `parts`.
Tensor group(const std::vector<Tensor>& parts);

}  // namespace unroll
