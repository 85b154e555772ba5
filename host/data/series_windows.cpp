#include "host/data/series_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/data/shuffle.h"

namespace unroll {

SeriesWindows::SeriesWindows(std::shared_ptr<const Series> series, const Options& options)
    : series_(std::move(series)), options_(options) {
  const Options& o = options_;
  first_ = std::max(o.begin, o.window);
  const bool sound =
      o.batch >= 1 && o.window >= 1 && o.ahead >= 1 && o.begin >= 0 && o.end <= series_->rows();
  if (!sound || first_ + o.ahead > o.end)
    throw std::invalid_argument(
        fmt::format("windows of {} rows before {} of the rows [{}, {}) of {} in batches of {}, "
                    "expected one or more",
                    o.window, o.ahead, o.begin, o.end, series_->rows(), o.batch));
  order_.resize(std::size_t(o.end - o.ahead - first_ + 1));
  seek(1, 0);
}

Batch SeriesWindows::largest() const {
  const auto column = [](const Shape& shape, RowAxis axis) {
    const auto size = std::size_t(shape.elements());
    return Column{DType::kFloat32, shape, {}, std::vector<float>(size), axis};
  };
  Batch batch;
  const std::int64_t rows = target_rows() * options_.batch;
  batch.columns = {column({options_.window, options_.batch, series_->inputs}, RowAxis::kSecond),
                   column({rows, series_->inputs * options_.ahead}, RowAxis::kFirst),
                   column({rows}, RowAxis::kFirst)};
  return batch;
}

bool SeriesWindows::next(Batch& batch) {
  if (position_ == length()) return false;
  if (batch.columns.size() != 3) batch = largest();
  std::vector<float>&values = batch.columns[0].values, &targets = batch.columns[1].values,
  &weights = batch.columns[2].values;
  std::ranges::fill(values, 0.0F);
  std::ranges::fill(targets, 0.0F);
  std::ranges::fill(weights, 0.0F);
  const std::int64_t n = options_.batch, inputs = series_->inputs;
  batch.count = std::min(n, length() - position_);
  for (std::int64_t row = 0; row < batch.count; ++row) {
    const std::int64_t after = row_after(position_ + row);
    for (std::int64_t t = 0; t < options_.window; ++t)
      std::ranges::copy(series_->row(after - options_.window + t),
                        values.begin() + (t * n + row) * inputs);
    for (std::int64_t t = 0; t < target_rows(); ++t) {
      const std::int64_t first = after - target_rows() + 1 + t, place = t * n + row;
      for (std::int64_t i = 0; i < inputs; ++i)
        for (std::int64_t k = 0; k < options_.ahead; ++k)
          targets[std::size_t((place * inputs + i) * options_.ahead + k)] =
              series_->row(first + k)[std::size_t(i)];
      weights[std::size_t(place)] = 1;
    }
  }
  position_ += batch.count;
  batch.position_after = position_;
  return true;
}

void SeriesWindows::seek(std::int64_t epoch, std::int64_t position) {
  if (epoch < 1 || position < 0 || position > length())
    throw std::invalid_argument(
        fmt::format("position {} of epoch {}, expected one in [0, {}] of an epoch from 1 on",
                    position, epoch, length()));
  // Begins from the same order in every epoch, so that no epoch depends on those before it.
  std::iota(order_.begin(), order_.end(), first_);
  if (options_.seed)
    shuffle_items(order_, math::philox_key(*options_.seed, "series_windows"), epoch, 0);
  position_ = position;
}

}  // namespace unroll
