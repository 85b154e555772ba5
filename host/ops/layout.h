/// How operations that move elements address them.
#pragma once

#include <cstdint>

#include "unroll/graph.h"

namespace unroll {

/// The distance of neighbours along each axis, in elements.
Shape row_major_strides(const Shape& shape);
/// The same elements as [outer, size of the axis, inner].
View around_axis(View view, int axis);
/// `axis` counted from the first of `rank` dimensions.
/// Errors    std::invalid_argument with the operation's name in front, also for an empty x.
int axis_of(Tensor x, int axis, int rank, const char* operation);

}  // namespace unroll
