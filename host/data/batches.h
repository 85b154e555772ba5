/// Batches for truncated back-propagation through time: a token sequence as N parallel streams,
/// handed out T steps at a time, so that the hidden state of one batch is the next one's start.
///
/// Unlike the usual batchify, which drops up to N - 1 tokens and never predicts the first of a
/// stream, every token of the text is a target exactly once: totals equal the text's own.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "host/data/examples.h"
#include "host/data/token_ids.h"

namespace unroll {

/// Stream s of n tokens over N streams holds n / N of them, one more if s < n % N; the streams are
/// consecutive pieces of the text. Targets are the tokens; the input of each is the token before it
/// in the text, and `start` for the first. Only the very last step of a shorter stream is padding:
/// input `start`, target kIgnoredId.
///
/// With `count` set, each stream is a piece of its own share instead: stream s is the tokens
/// [s * (n / N) + first, ... + count), of which none is padding; the remaining tokens are not used.
///
/// As examples, batches have the columns inputs [T', N] and targets [T' N], every epoch is the
/// same, and a position is a timestep.
///
/// Owns no tokens: they must outlive it. Not thread-safe.
class BatchStream final : public Examples {
 public:
  struct Options {
    std::int64_t streams = 1;  // N
    std::int64_t steps = 1;    // T
    std::int32_t start = 0;    // id before the first token of a history
    std::int64_t first = 0, count = 0;
    /// Ids are checked to be below it, because they may come from a damaged file.
    std::int32_t vocabulary = std::numeric_limits<std::int32_t>::max();
    std::string name = "text";  // how that error calls them
  };

  /// Errors    std::invalid_argument if N or T is below 1, the text has fewer than N tokens, or a
  ///           stream's share does not hold first + count.
  BatchStream(TokenIds tokens, const Options& options);

  /// Writes the next batch and returns its steps T': T, fewer in the last batch, 0 at the end.
  /// Never allocates.
  /// Shapes    inputs, targets: [T', N] row-major out, in spans of at least room()
  /// Errors    std::invalid_argument if a span is shorter than that; std::runtime_error at an id
  ///           that is not in the vocabulary.
  std::int64_t next(std::span<std::int32_t> inputs, std::span<std::int32_t> targets);

  Batch largest() const override;
  bool next(Batch& batch) override;
  void seek(std::int64_t epoch, std::int64_t position) override;

  void rewind() { position_ = 0; }

  std::int64_t streams() const { return options_.streams; }
  std::int64_t batch_size() const override { return options_.streams; }
  /// Elements of the largest batch: min(T, length) * N.
  std::int64_t room() const;
  /// Steps from start to end: the length of the longest stream.
  std::int64_t length() const override { return length_; }
  std::int64_t stride() const override { return options_.steps; }

  /// Steps handed out so far; with set_position, what resuming needs.
  std::int64_t position() const { return position_; }
  /// Errors    std::invalid_argument if `position` is not in [0, length()].
  void set_position(std::int64_t position);

 private:
  std::int64_t begin_of(std::int64_t stream) const;
  std::int32_t token(std::int64_t k) const;

  TokenIds tokens_;
  Options options_;
  std::int64_t length_ = 0;
  std::int64_t longer_ = 0;  // streams of full length: the first ones; the others are one shorter
  std::int64_t position_ = 0;
};

/// For messages: how many streams beside these timesteps, or timesteps beside these streams, would
/// fit `tokens`.
std::string batches_that_fit(std::int64_t tokens, std::int64_t batch, std::int64_t bptt);

}  // namespace unroll
