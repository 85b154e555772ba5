#include "host/data/text_batches.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "host/data/columns.h"

namespace unroll {
namespace {

std::vector<std::int64_t> lengths_of(const LabelledSplit& texts) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t k = 0; k < texts.size(); ++k) lengths.push_back(texts.length(k));
  return lengths;
}

}  // namespace

TextBatches::TextBatches(std::shared_ptr<const LabelledSplit> texts, const Options& options)
    : texts_(std::move(texts)),
      options_(options),
      places_(lengths_of(*texts_),
              {.batch = options.batch, .most_steps = kMostSteps, .seed = options.seed}) {}

Batch TextBatches::largest() const {
  const std::int64_t n = options_.batch;
  Batch batch;
  batch.columns = {id_column({places_.steps(), n}, RowAxis::kSecond),
                   id_column({n}, RowAxis::kFirst), id_column({n}, RowAxis::kFirst)};
  if (options_.mean)
    batch.columns.push_back(
        {DType::kFloat32, {n, 1}, {}, std::vector<float>(std::size_t(n)), RowAxis::kFirst});
  return batch;
}

bool TextBatches::next(Batch& batch) {
  const auto place = places_.next();
  if (!place) return false;
  if (batch.columns.size() != (options_.mean ? 4U : 3U)) batch = largest();
  const std::int64_t n = options_.batch;
  rows_ = place->items;

  batch.columns[0].shape = {place->steps, n};
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
  batch.count = std::ssize(rows_);
  batch.position_after = places_.position();
  return true;
}

void TextBatches::seek(std::int64_t epoch, std::int64_t position) {
  places_.seek(epoch, position);
  rows_ = {};
}

}  // namespace unroll
