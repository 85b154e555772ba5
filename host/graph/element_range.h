/// Which numbers, written as a double, an element type holds.
#pragma once

#include <cmath>

#include "unroll/tensor.h"

namespace unroll {

/// The greatest whole number up to which an integer type and a double hold all of them: above 2^53
/// a double skips some.
constexpr double greatest_whole(DType dtype) {
  return dtype == DType::kInt32 ? 0x1p31 - 1 : 0x1p53;
}

/// Whether an element can be `value`, but for the rounding of a real number.
inline bool holds(DType dtype, double value) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat64:
      return true;
    case DType::kInt32:  // it has one negative number more
      return value == std::floor(value) && value >= -0x1p31 && value <= greatest_whole(dtype);
    case DType::kInt64:
      return value == std::floor(value) && std::abs(value) <= greatest_whole(dtype);
    case DType::kBool:
      return value == 0 || value == 1;
    case DType::kByte:
      break;
  }
  return false;
}

}  // namespace unroll
