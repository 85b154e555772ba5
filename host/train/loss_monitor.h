/// What a batch's loss may be before training counts as diverged: a limit from the losses so far.
#pragma once

#include <cstdint>

namespace unroll {

/// In nats per token, the limit is mean + max(10 sd, 3), and never more than 2 ln V + 3. Mean and
/// standard deviation run exponentially over the accepted batches with weight 0.01; during the
/// first 100 of them only the second bound holds, which is twice the loss of a model that knows
/// nothing, and a little: a run that diverges from the start must not become the measure of itself.
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

  /// V: the tokens that a model chooses from.
  explicit LossMonitor(std::int64_t vocabulary) : LossMonitor(vocabulary, State()) {}
  LossMonitor(std::int64_t vocabulary, const State& state);

  double limit() const;
  /// Of a batch whose update was applied.
  void accept(double loss);

  const State& state() const { return state_; }

 private:
  double ceiling_;
  State state_;
};

}  // namespace unroll
