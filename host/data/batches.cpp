#include "host/data/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "host/data/columns.h"

namespace unroll {

BatchStream::BatchStream(TokenIds tokens, const Options& options)
    : tokens_(tokens), options_(options) {
  if (options.streams < 1 || options.steps < 1)
    throw std::invalid_argument(fmt::format(
        "batches of {} streams and {} steps, expected 1 or more", options.streams, options.steps));
  const std::int64_t n = tokens.size();
  if (n == 0) throw std::invalid_argument("batches of an empty text, expected tokens");
  if (n < options.streams)
    throw std::invalid_argument(
        fmt::format("a text of {} tokens in batches of {} streams, expected at most {} streams", n,
                    options.streams, n));
  if (options.first != 0 || options.count != 0) {
    const std::int64_t share = n / options.streams;
    if (options.first < 0 || options.count < 1 || options.count > share - options.first)
      throw std::invalid_argument(
          fmt::format("{} tokens from the {}-th of each stream, expected some of its {}",
                      options.count, options.first, share));
    length_ = options.count;
    longer_ = options.streams;
    return;
  }
  longer_ = n % options.streams;
  length_ = n / options.streams + (longer_ > 0 ? 1 : 0);
  if (longer_ == 0) longer_ = options.streams;
}

std::int64_t BatchStream::room() const {
  // Not more than the text's tokens and a padding for each stream.
  return std::min(options_.steps, length_) * options_.streams;
}

/// Where the stream begins in the text.
std::int64_t BatchStream::begin_of(std::int64_t stream) const {
  if (options_.count > 0) return stream * (tokens_.size() / options_.streams) + options_.first;
  // Streams past the first `longer_` begin one token earlier each than full length would put them.
  return stream * length_ - std::max<std::int64_t>(0, stream - longer_);
}

std::int32_t BatchStream::token(std::int64_t k) const {
  const std::int32_t id = tokens_[k];
  if (id < 0 || id >= options_.vocabulary)
    throw std::runtime_error(fmt::format("{}: damaged: token {} is {}, expected one in [0, {})",
                                         options_.name, k, id, options_.vocabulary));
  return id;
}

std::int64_t BatchStream::next(std::span<std::int32_t> inputs, std::span<std::int32_t> targets) {
  const std::int64_t streams = options_.streams;
  const std::int64_t steps = std::min(options_.steps, length_ - position_);
  const auto given = static_cast<std::int64_t>(std::min(inputs.size(), targets.size()));
  if (given < room())
    throw std::invalid_argument(
        fmt::format("batch buffers of {} elements, expected at least {} steps x {} streams", given,
                    std::min(options_.steps, length_), streams));

  // Stream by stream, which reads the text in order.
  for (std::int64_t s = 0; s < streams; ++s) {
    const std::int64_t begin = begin_of(s) + position_;
    for (std::int64_t t = 0; t < steps; ++t) {
      const bool padding = s >= longer_ && position_ + t == length_ - 1;
      const std::int64_t k = begin + t;
      const auto out = static_cast<std::size_t>(t * streams + s);
      inputs[out] = padding || k == 0 ? options_.start : token(k - 1);
      targets[out] = padding ? kIgnoredId : token(k);
    }
  }
  position_ += steps;
  return steps;
}

Batch BatchStream::largest() const {
  const std::int64_t steps = std::min(options_.steps, length_);
  Batch batch;
  batch.columns = {id_column({steps, options_.streams}, RowAxis::kSecond),
                   id_column({room()}, RowAxis::kFirst)};
  return batch;
}

bool BatchStream::next(Batch& batch) {
  Column &inputs = batch.columns.at(0), &targets = batch.columns.at(1);
  const std::int64_t steps = next(inputs.ids, targets.ids), size = steps * options_.streams;
  inputs.shape = {steps, options_.streams};
  targets.shape = {size};
  batch.position_after = position_;
  batch.count = size - std::count(targets.ids.begin(), targets.ids.begin() + size, kIgnoredId);
  return steps > 0;
}

void BatchStream::seek(std::int64_t epoch, std::int64_t position) {
  if (epoch < 1) throw std::invalid_argument(fmt::format("epoch {}, expected 1 or more", epoch));
  set_position(position);
}

void BatchStream::set_position(std::int64_t position) {
  if (position < 0 || position > length_)
    throw std::invalid_argument(
        fmt::format("batch position {}, expected one in [0, {}]", position, length_));
  position_ = position;
}

std::string batches_that_fit(std::int64_t tokens, std::int64_t batch, std::int64_t bptt) {
  std::string fits;
  if (tokens / bptt > 0) fits = fmt::format("{} streams", tokens / bptt);
  if (tokens / batch > 0)
    fits += fmt::format("{}{} timesteps", fits.empty() ? "" : " or ", tokens / batch);
  return fits.empty() ? "fewer of both" : fits;
}

}  // namespace unroll
