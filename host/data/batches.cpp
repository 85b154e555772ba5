#include "host/data/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>

namespace unroll {

BatchStream::BatchStream(std::span<const std::int32_t> tokens, const Options& options)
    : tokens_(tokens), options_(options) {
  if (options.streams < 1 || options.steps < 1)
    throw std::invalid_argument(fmt::format(
        "batches of {} streams and {} steps, expected 1 or more", options.streams, options.steps));
  const auto n = static_cast<std::int64_t>(tokens.size());
  if (n == 0) throw std::invalid_argument("batches of an empty text, expected tokens");
  if (n < options.streams)
    throw std::invalid_argument(
        fmt::format("a text of {} tokens in batches of {} streams, expected at most {} streams", n,
                    options.streams, n));
  longer_ = n % options.streams;
  length_ = n / options.streams + (longer_ > 0 ? 1 : 0);
  if (longer_ == 0) longer_ = options.streams;
}

std::int64_t BatchStream::next(std::span<std::int32_t> inputs, std::span<std::int32_t> targets) {
  // Compared by division, since T * N may overflow where T only means "the whole text".
  const std::int64_t streams = options_.streams;
  const std::int64_t steps = std::min(options_.steps, length_ - position_);
  const auto room = static_cast<std::int64_t>(std::min(inputs.size(), targets.size()));
  if (room / streams < std::min(options_.steps, length_))
    throw std::invalid_argument(
        fmt::format("batch buffers of {} elements, expected at least {} steps x {} streams", room,
                    std::min(options_.steps, length_), streams));

  std::size_t out = 0;
  for (std::int64_t t = position_; t < position_ + steps; ++t)
    for (std::int64_t s = 0; s < streams; ++s, ++out) {
      const bool padding = t == length_ - 1 && s >= longer_;
      // Streams past the first `longer_` begin one token earlier each than full length would put
      // them.
      const std::int64_t at = s * length_ - std::max<std::int64_t>(0, s - longer_) + t;
      const auto k = static_cast<std::size_t>(at);
      inputs[out] = padding || k == 0 ? options_.eos : tokens_[k - 1];
      targets[out] = padding ? kIgnoredId : tokens_[k];
    }
  position_ += steps;
  return steps;
}

void BatchStream::set_position(std::int64_t position) {
  if (position < 0 || position > length_)
    throw std::invalid_argument(
        fmt::format("batch position {}, expected one in [0, {}]", position, length_));
  position_ = position;
}

}  // namespace unroll
