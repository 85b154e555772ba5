/// What those who write batches share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/data/examples.h"

namespace unroll {

/// A column of ids that are all 0.
inline Column id_column(const Shape& shape, RowAxis axis = RowAxis::kNone) {
  return {DType::kInt32, shape, std::vector<std::int32_t>(std::size_t(shape.elements())), {}, axis};
}

/// Room for a column of this shape, which an earlier batch may have made already.
template <typename T>
std::span<T> room(std::vector<T>& values, const Shape& shape) {
  const auto size = std::size_t(shape.elements());
  if (values.size() < size) values.resize(size);
  return std::span(values).first(size);
}

}  // namespace unroll
