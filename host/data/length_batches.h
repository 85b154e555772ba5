/// Items of different lengths in batches of N, so that items of similar length share one and little
/// is padding. Says which items a batch has; what they are is the caller's.
///
/// Items are ordered by their length and cut into batches of N; if N does not divide their number,
/// the batch of the shortest has fewer. T, the steps of a batch, is one of few values, because a
/// session keeps a plan for each: beginning with the longest batch, the T of one serves all that it
/// pads by no more than an eighth of itself, or by no more than the least larger share that needs
/// so few values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace unroll {

/// Copyable; not thread-safe.
class LengthBatches {
 public:
  struct Options {
    std::int64_t batch = 1;        // N
    std::int64_t most_steps = 40;  // different T
    /// Set: each epoch has an order of its own, of batches and of items of equal length among
    /// batches, which depends on this seed and the epoch. Else batches come by length, items of
    /// equal length in their order.
    std::optional<std::uint64_t> seed = {};
  };
  struct Place {
    std::span<const std::int64_t> items;  // valid until the next seek()
    std::int64_t steps = 0;               // T, which is no less than their lengths
    std::int64_t rank = 0;                // among all batches by length, the same in every epoch
  };

  /// Begins at the first batch of the first epoch.
  /// Errors    std::invalid_argument if N is below 1 or there is no item.
  LengthBatches(std::vector<std::int64_t> lengths, const Options& options);

  std::int64_t size() const { return std::int64_t(steps_.size()); }  // batches
  std::int64_t position() const { return position_; }
  /// The largest T.
  std::int64_t steps() const { return steps_.back(); }
  std::int64_t length(std::int64_t item) const { return lengths_[std::size_t(item)]; }

  /// The batch at a position in [0, size()) of this epoch.
  Place at(std::int64_t position) const;
  /// The batch at position(), which moves on; nothing at the end of the epoch.
  std::optional<Place> next();
  /// Errors    std::invalid_argument unless epoch >= 1 and position lies in [0, size()].
  void seek(std::int64_t epoch, std::int64_t position);

 private:
  std::int64_t first_of(std::int64_t rank) const;
  void shuffle(std::int64_t epoch);

  std::vector<std::int64_t> lengths_;
  Options options_;
  std::vector<std::int64_t> by_length_;  // the items, the shortest first
  std::vector<std::int64_t> steps_;      // T of each batch, the shortest first
  std::vector<std::int64_t> order_;      // of the items in this epoch: as by_length_, but shuffled
  std::vector<std::int64_t> batches_;    // in the order of this epoch
  std::int64_t position_ = 0;
};

}  // namespace unroll
