/// A batch of examples as the feeds of a graph.
#pragma once

#include <span>
#include <vector>

#include "host/data/examples.h"
#include "unroll/session.h"

namespace unroll {

/// Makes `feeds` those of the batch, whose columns are in the order of `inputs`. The batch must
/// outlive them.
void make_feeds(std::span<const Tensor> inputs, const Batch& batch, std::vector<Feed>& feeds);

}  // namespace unroll
