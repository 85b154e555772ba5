/// Layers: functions that declare their variables and build their nodes in one call. recurrent.h
/// has the recurrent ones.
#pragma once

#include <cstdint>
#include <string_view>

#include "unroll/graph.h"

namespace unroll {

struct DenseOptions {
  Initializer weight = xavier();
  Initializer bias = constant(0);
};

/// A fully connected layer: y = x W^T + b. Its variables are NAME.weight and NAME.bias, with the
/// shapes of PyTorch's nn.Linear. Layers of the same name in one graph share their variables.
/// Shapes    x [..., I] -> y [..., units]; NAME.weight [units, I]; NAME.bias [units]. I must not be
///           open.
/// Errors    std::invalid_argument: x is empty, a scalar, not float32, or open in its last
///           dimension; units below 1; NAME.weight or NAME.bias exists with another shape.
Tensor dense(Tensor x, std::int64_t units, std::string_view name, const DenseOptions& options = {});

}  // namespace unroll
