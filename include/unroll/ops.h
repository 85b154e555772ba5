/// The elementary operations: functions of tensors that add a node and return its output.
///
/// Each checks shapes and element types when it is called, and throws std::invalid_argument (what,
/// got, expected) if they do not fit. Each has a gradient unless it says otherwise. Tensors are
/// float32 and ids int32 unless it says otherwise. [...] stands for any dimensions.
#pragma once

#include "unroll/ops/array.h"
#include "unroll/ops/control_flow.h"
#include "unroll/ops/crf.h"
#include "unroll/ops/elementwise.h"
#include "unroll/ops/linear_algebra.h"
#include "unroll/ops/matrix.h"
#include "unroll/ops/neural.h"
#include "unroll/ops/reduce.h"
#include "unroll/ops/state.h"
