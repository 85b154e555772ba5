/// The reduction that undoes broadcasting.
#pragma once

#include "unroll/graph.h"

namespace unroll {

/// x summed over the dimensions along which `like` was broadcast to x's shape: the gradient of
/// broadcasting. x itself where nothing was.
Tensor sum_to(Tensor x, Tensor like);

}  // namespace unroll
