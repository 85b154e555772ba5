/// Draws the next token from a distribution.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace unroll {

struct SamplingOptions {
  double temperature = 1;  // divides the logarithms; 0: always the most probable token
  std::int64_t top_k = 0;  // only the k most probable tokens; 0: all
  double top_p = 1;        // only the most probable tokens that together reach this
  std::uint64_t seed = 0;

  /// Throws std::invalid_argument for a negative or non-finite temperature, a negative top_k, or
  /// top_p outside (0, 1].
  void check() const;
};

/// The n-th draw depends on (seed, n) and the distribution alone. Temperature comes first, then
/// top_k, then top_p. Source of top_p: Holtzman et al. 2020.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);

  /// log_prob: ln p of every token, normalised or not; -inf excludes a token.
  /// Throws std::invalid_argument if no token has a finite log probability, or one is NaN.
  std::int32_t draw(std::span<const float> log_prob);

 private:
  SamplingOptions options_;
  std::uint64_t key_;
  std::uint64_t draws_ = 0;
  std::vector<std::int32_t> order_;
  std::vector<double> weights_;
};

}  // namespace unroll
