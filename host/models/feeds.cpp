#include "host/models/feeds.h"

#include <cstddef>
#include <span>

namespace unroll {

void make_feeds(std::span<const Tensor> inputs, const Batch& batch, std::vector<Feed>& feeds) {
  feeds.clear();
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Column& column = batch.columns.at(k);
    const auto count = std::size_t(column.shape.elements());
    if (column.dtype == DType::kInt32)
      feeds.emplace_back(inputs[k], std::span(column.ids).first(count), column.shape);
    else
      feeds.emplace_back(inputs[k], std::span(column.values).first(count), column.shape);
  }
}

}  // namespace unroll
