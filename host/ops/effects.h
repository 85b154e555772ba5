/// What operations that write variables have in common.
#pragma once

#include "host/graph/operation.h"

namespace unroll {

/// The output of a node that only has effects: a tensor without elements.
inline TensorType no_value() {
  return {Shape{0}, DType::kFloat32};
}

}  // namespace unroll
