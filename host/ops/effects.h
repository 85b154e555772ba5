#pragma once

#include "host/graph/operation.h"

namespace unroll {

/// What a node that only has effects gives: nothing, of the shape of nothing.
inline TensorType no_value() {
  return {Shape{0}, DType::kFloat32};
}

}  // namespace unroll
