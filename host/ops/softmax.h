/// What others know of softmax.
#pragma once

#include "unroll/graph.h"

namespace unroll {

/// z if x is softmax(z), else empty.
Tensor softmax_input(Tensor x);

}  // namespace unroll
