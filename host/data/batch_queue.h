/// Reads batches ahead in a thread of its own, so that a step never waits for a page of a file.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "host/data/batches.h"

namespace unroll {

struct Batch {
  std::span<const std::int32_t> inputs, targets;  // [T', N] row-major
  std::int64_t steps = 0;                         // T'
  std::int64_t position_after = 0;                // for seek(): where the batch after it begins
  std::int64_t tokens = 0;                        // targets that are not padding
};

/// To be used by one thread; the reader is another. Nothing is allocated after construction.
class BatchQueue {
 public:
  /// Begins to read where `stream` stands. Its tokens must outlive the queue.
  explicit BatchQueue(BatchStream stream);
  /// Stops the reader at any point.
  ~BatchQueue();
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  /// The next batch, valid until the next call of any function; null at the end.
  /// Errors    what BatchStream::next() threw in the reader; the queue then needs a seek().
  const Batch* next();

  void rewind() { seek(0); }
  /// Continues at this position. Errors: std::invalid_argument as BatchStream::set_position().
  void seek(std::int64_t position);

  std::int64_t batches() const { return stream_.batches(); }
  std::int64_t length() const { return stream_.length(); }

 private:
  static constexpr std::int64_t kBatches = 4;  // read ahead, the one in use included

  struct Slot {
    std::vector<std::int32_t> inputs, targets;
    Batch batch;
  };

  void read();
  void fill(Slot& slot);
  Slot& slot(std::int64_t k) { return slots_[static_cast<std::size_t>(k % kBatches)]; }

  BatchStream stream_;  // the reader's while `reading_`
  std::array<Slot, kBatches> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t filled_ = 0, freed_ = 0;  // batches since the last seek
  bool in_use_ = false;                  // the caller holds batch `freed_`
  bool reading_ = false, ended_ = false, stop_ = false;
  std::exception_ptr error_;
  std::thread reader_;  // last: it uses all the others
};

}  // namespace unroll
