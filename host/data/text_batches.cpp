#include "host/data/text_batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/data/shuffle.h"
#include "unroll/math/philox.h"

namespace unroll {
namespace {

/// Each batch's T, given its longest text, in rising order: equal to it or larger, so that at most
/// `share` of T is padding for it.
std::vector<std::int64_t> rounded(std::vector<std::int64_t> longest, double share) {
  for (std::size_t k = longest.size() - 1; k-- > 0;) {
    const std::int64_t steps = longest[k + 1];
    if (double(steps - longest[k]) <= share * double(steps)) longest[k] = steps;
  }
  return longest;
}

std::int64_t different(const std::vector<std::int64_t>& rising) {
  std::int64_t count = 1;
  for (std::size_t k = 1; k < rising.size(); ++k) count += rising[k] != rising[k - 1] ? 1 : 0;
  return count;
}

/// Room for a column of this shape, which an earlier batch may have made already.
template <typename T>
std::span<T> room(std::vector<T>& values, const Shape& shape) {
  const auto size = std::size_t(shape.elements());
  if (values.size() < size) values.resize(size);
  return std::span(values).first(size);
}

}  // namespace

TextBatches::TextBatches(std::shared_ptr<const LabelledSplit> texts, const Options& options)
    : texts_(std::move(texts)), options_(options), by_length_(std::size_t(texts_->size())) {
  if (options_.batch < 1 || by_length_.empty())
    throw std::invalid_argument(
        fmt::format("batches of {} from {} texts, expected 1 or more of 1 "
                    "or more",
                    options_.batch, by_length_.size()));
  std::iota(by_length_.begin(), by_length_.end(), 0);
  std::ranges::stable_sort(by_length_, {}, [&](std::int64_t k) { return texts_->length(k); });
  const std::int64_t batches = 1 + (texts_->size() - 1) / options_.batch;
  std::vector<std::int64_t> longest;
  for (std::int64_t k = 0; k < batches; ++k)
    longest.push_back(texts_->length(by_length_[std::size_t(first_of(k + 1) - 1)]));
  for (double share = 0.125; steps_.empty() || different(steps_) > kMostSteps; share *= 1.125)
    steps_ = rounded(longest, share);
  order_ = by_length_;
  batches_.resize(std::size_t(batches));
  seek(1, 0);
}

/// The first of a batch's texts in order_. The batch of the shortest may have fewer than N.
std::int64_t TextBatches::first_of(std::int64_t batch) const {
  if (batch == 0) return 0;
  const std::int64_t batches = 1 + (texts_->size() - 1) / options_.batch;
  return texts_->size() - (batches - batch) * options_.batch;
}

Batch TextBatches::largest() const {
  const std::int64_t n = options_.batch;
  const auto ids = [](const Shape& shape) {
    return Column{
        DType::kInt32, shape, std::vector<std::int32_t>(std::size_t(shape.elements())), {}};
  };
  Batch batch;
  batch.columns = {ids({steps_.back(), n}), ids({n}), ids({n})};
  if (options_.mean)
    batch.columns.push_back({DType::kFloat32, {n, 1}, {}, std::vector<float>(std::size_t(n))});
  return batch;
}

bool TextBatches::next(Batch& batch) {
  if (position_ == length()) return false;
  if (batch.columns.size() != (options_.mean ? 4U : 3U)) batch = largest();
  const std::int64_t which = batches_[std::size_t(position_)], n = options_.batch;
  const std::int64_t first = first_of(which), count = first_of(which + 1) - first;
  const std::int64_t steps = steps_[std::size_t(which)];
  rows_ = std::span(order_).subspan(std::size_t(first), std::size_t(count));

  batch.columns[0].shape = {steps, n};
  const std::span<std::int32_t> ids = room(batch.columns[0].ids, batch.columns[0].shape);
  const std::span<std::int32_t> lengths = room(batch.columns[1].ids, batch.columns[1].shape);
  const std::span<std::int32_t> targets = room(batch.columns[2].ids, batch.columns[2].shape);
  std::ranges::fill(ids, 0);
  std::ranges::fill(lengths, 1);
  std::ranges::fill(targets, kIgnoredId);
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const std::span<const std::int32_t> text = texts_->text(rows_[row]);
    for (std::size_t t = 0; t < text.size(); ++t) ids[t * std::size_t(n) + row] = text[t];
    lengths[row] = std::int32_t(text.size());
    targets[row] = texts_->classes[std::size_t(rows_[row])];
  }
  if (options_.mean) {
    const std::span<float> factors = room(batch.columns[3].values, batch.columns[3].shape);
    std::ranges::transform(lengths, factors.begin(), [](std::int32_t l) { return 1 / float(l); });
  }
  batch.count = count;
  batch.position_after = ++position_;
  return true;
}

void TextBatches::seek(std::int64_t epoch, std::int64_t position) {
  if (epoch < 1 || position < 0 || position > length())
    throw std::invalid_argument(
        fmt::format("position {} of epoch {}, expected one in [0, {}] of an epoch from 1 on",
                    position, epoch, length()));
  shuffle(epoch);
  position_ = position;
  rows_ = {};
}

/// Begins from the same order in every epoch, so that no epoch depends on those before it.
void TextBatches::shuffle(std::int64_t epoch) {
  std::ranges::copy(by_length_, order_.begin());
  std::iota(batches_.begin(), batches_.end(), 0);
  if (!options_.seed) return;
  const std::uint64_t texts_key = math::philox_key(*options_.seed, "text_batches/texts");
  for (std::size_t begin = 0; begin < order_.size();) {
    const std::int64_t its_length = texts_->length(order_[begin]);
    std::size_t end = begin + 1;
    while (end < order_.size() && texts_->length(order_[end]) == its_length) ++end;
    shuffle_items(std::span(order_).subspan(begin, end - begin), texts_key, epoch,
                  std::int64_t(begin));
    begin = end;
  }
  shuffle_items(batches_, math::philox_key(*options_.seed, "text_batches/batches"), epoch, 0);
}

}  // namespace unroll
