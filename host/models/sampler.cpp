#include "host/models/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "unroll/cells/philox.h"

namespace unroll {

void SamplingOptions::check() const {
  const auto fail = [](const char* what, auto got, const char* expected) {
    throw std::invalid_argument(fmt::format("{}: got {}, expected {}", what, got, expected));
  };
  if (!(temperature >= 0) || !std::isfinite(temperature))
    fail("temperature", temperature, "a finite number, 0 or more");
  if (top_k < 0) fail("top-k", top_k, "0 (all) or more");
  if (!(top_p > 0 && top_p <= 1)) fail("top-p", top_p, "one in (0, 1]");
}

Sampler::Sampler(const SamplingOptions& options)
    : options_(options), key_(cells::philox_key(options.seed, "sampler")) {
  options.check();
}

std::int32_t Sampler::draw(std::span<const float> log_prob) {
  if (std::ranges::any_of(log_prob, [](float x) { return std::isnan(x); }))
    throw std::invalid_argument("sampling: a log probability is not a number");
  order_.resize(log_prob.size());
  std::iota(order_.begin(), order_.end(), 0);
  const auto more_probable = [&](std::int32_t a, std::int32_t b) {
    const float pa = log_prob[std::size_t(a)], pb = log_prob[std::size_t(b)];
    return pa != pb ? pa > pb : a < b;
  };
  std::ranges::sort(order_, more_probable);
  const double best = order_.empty() ? -std::numeric_limits<double>::infinity()
                                     : double(log_prob[std::size_t(order_.front())]);
  if (!std::isfinite(best))
    throw std::invalid_argument("sampling: no token has a finite log probability");
  const std::uint64_t draw = draws_++;
  if (options_.temperature == 0) return order_.front();

  const auto limit = options_.top_k > 0 ? std::size_t(options_.top_k) : order_.size();
  weights_.clear();
  for (std::size_t k = 0; k < std::min(limit, order_.size()); ++k)
    weights_.push_back(
        std::exp((double(log_prob[std::size_t(order_[k])]) - best) / options_.temperature));
  double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  // The fewest tokens whose sum reaches top_p.
  std::size_t kept = 0;
  for (double sum = 0; kept < weights_.size() && (kept == 0 || sum < options_.top_p * total);)
    sum += weights_[kept++];
  weights_.resize(kept);
  total = std::accumulate(weights_.begin(), weights_.end(), 0.0);

  double rest = cells::uniform53(cells::philox(key_, 0, draw)) * total;
  std::size_t k = 0;
  while (k + 1 < weights_.size() && rest >= weights_[k]) rest -= weights_[k++];
  return order_[k];
}

}  // namespace unroll
