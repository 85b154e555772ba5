#include "host/data/length_batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/data/shuffle.h"
#include "unroll/math/philox.h"

namespace unroll {
namespace {

/// Each batch's T, given its longest item, in rising order: equal to it or larger, so that at most
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

}  // namespace

LengthBatches::LengthBatches(std::vector<std::int64_t> lengths, const Options& options)
    : lengths_(std::move(lengths)), options_(options), by_length_(lengths_.size()) {
  if (options_.batch < 1 || lengths_.empty())
    throw std::invalid_argument(
        fmt::format("batches of {} from {} texts, expected 1 or more of 1 or more", options_.batch,
                    lengths_.size()));
  std::iota(by_length_.begin(), by_length_.end(), 0);
  std::ranges::stable_sort(by_length_, {}, [&](std::int64_t k) { return length(k); });
  batches_.resize(1 + (lengths_.size() - 1) / std::size_t(options_.batch));
  std::vector<std::int64_t> longest;
  for (std::int64_t k = 1; k <= std::ssize(batches_); ++k)
    longest.push_back(length(by_length_[std::size_t(first_of(k) - 1)]));
  for (double share = 0.125; steps_.empty() || different(steps_) > options_.most_steps;
       share *= 1.125)
    steps_ = rounded(longest, share);
  order_ = by_length_;
  seek(1, 0);
}

/// The first of a batch's items in order_. The batch of the shortest may have fewer than N.
std::int64_t LengthBatches::first_of(std::int64_t rank) const {
  if (rank == 0) return 0;
  return std::ssize(lengths_) - (std::ssize(batches_) - rank) * options_.batch;
}

LengthBatches::Place LengthBatches::at(std::int64_t position) const {
  const std::int64_t rank = batches_[std::size_t(position)], first = first_of(rank);
  const std::int64_t count = first_of(rank + 1) - first;
  return {std::span(order_).subspan(std::size_t(first), std::size_t(count)),
          steps_[std::size_t(rank)], rank};
}

std::optional<LengthBatches::Place> LengthBatches::next() {
  if (position_ == size()) return std::nullopt;
  return at(position_++);
}

void LengthBatches::seek(std::int64_t epoch, std::int64_t position) {
  if (epoch < 1 || position < 0 || position > size())
    throw std::invalid_argument(
        fmt::format("position {} of epoch {}, expected one in [0, {}] of an epoch from 1 on",
                    position, epoch, size()));
  shuffle(epoch);
  position_ = position;
}

/// Begins from the same order in every epoch, so that no epoch depends on those before it.
void LengthBatches::shuffle(std::int64_t epoch) {
  std::ranges::copy(by_length_, order_.begin());
  std::iota(batches_.begin(), batches_.end(), 0);
  if (!options_.seed) return;
  // Named after the first who asked, because resumed runs must find their order again.
  const std::uint64_t items_key = math::philox_key(*options_.seed, "text_batches/texts");
  for (std::size_t begin = 0; begin < order_.size();) {
    const std::int64_t its_length = length(order_[begin]);
    std::size_t end = begin + 1;
    while (end < order_.size() && length(order_[end]) == its_length) ++end;
    shuffle_items(std::span(order_).subspan(begin, end - begin), items_key, epoch,
                  std::int64_t(begin));
    begin = end;
  }
  shuffle_items(batches_, math::philox_key(*options_.seed, "text_batches/batches"), epoch, 0);
}

}  // namespace unroll
