/// What a batch's loss may be before training counts as diverged: a limit from the losses so far.
#pragma once

#include <cstdint>

namespace unroll {

/// The limit is mean + max(10 sd, 3), in nats per token: mean and standard deviation run
/// exponentially over the accepted batches with weight 0.01. There is none during the first 100.
///
/// Only accepted losses enter, and a loss that is not finite is never accepted, so a NaN cannot
/// blind it. 3 nats are twenty times the perplexity: no text whose kind changes does that to a
/// model of words, while a diverged one is soon worse than one that knows nothing.
class LossMonitor {
 public:
  struct State {
    double mean = 0, variance = 0;
    std::int64_t count = 0;
  };

  LossMonitor() = default;
  explicit LossMonitor(const State& state) : state_(state) {}

  /// Infinity as long as there is none.
  double limit() const;
  /// Of a batch whose update was applied.
  void accept(double loss);

  const State& state() const { return state_; }

 private:
  State state_;
};

}  // namespace unroll
