#include "host/models/batch_rows.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

#include "host/data/columns.h"

namespace unroll {
namespace {

/// A column as [groups, rows, inner]: timesteps, rows of the batch, values of one.
struct Layout {
  std::int64_t groups, inner;
  Shape part;  // of the rows taken
};

Layout layout_of(const Column& column, std::int64_t rows, std::int64_t taken) {
  const int axis = column.row_axis == RowAxis::kFirst ? 0 : 1;
  if (column.shape.rank() <= axis || column.shape[axis] % rows != 0 ||
      (axis == 1 && column.shape[1] != rows))
    throw std::logic_error("rows of a batch: got a column " + to_string(column.shape) +
                           ", expected " + std::to_string(rows) + " rows on axis " +
                           std::to_string(axis));
  Layout layout{axis == 0 ? column.shape[0] / rows : column.shape[0], 1, column.shape};
  layout.part[axis] = axis == 0 ? layout.groups * taken : taken;
  layout.inner = column.shape.elements() / (layout.groups * rows);
  return layout;
}

template <typename T>
void take(const std::vector<T>& values, std::int64_t rows, const IndexRange& range,
          const Layout& layout, std::vector<T>& part) {
  const std::int64_t size = range.size() * layout.inner;
  const auto to = room(part, layout.part).begin();
  for (std::int64_t group = 0; group < layout.groups; ++group)
    std::copy_n(values.begin() + (group * rows + range.begin) * layout.inner, size,
                to + group * size);
}

}  // namespace

void take_rows(const Batch& batch, std::int64_t rows, const IndexRange& range, Batch& part) {
  part.columns.resize(batch.columns.size());
  for (std::size_t k = 0; k < batch.columns.size(); ++k) {
    const Column& from = batch.columns[k];
    Column& to = part.columns[k];
    if (from.row_axis == RowAxis::kNone) {
      to = from;
      continue;
    }
    const Layout layout = layout_of(from, rows, range.size());
    to.dtype = from.dtype;
    to.row_axis = from.row_axis;
    to.shape = layout.part;
    if (from.dtype == DType::kInt32)
      take(from.ids, rows, range, layout, to.ids);
    else
      take(from.values, rows, range, layout, to.values);
  }
  part.position_after = batch.position_after;
  part.count = batch.count;
}

}  // namespace unroll
