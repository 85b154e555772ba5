/// Reads batches ahead in a thread of its own, so that a step never waits for a page of a file.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>

#include "host/data/examples.h"

namespace unroll {

/// To be used by one thread; the reader is another. Nothing is allocated after construction.
class BatchQueue {
 public:
  /// Begins to read where `examples` stand. As long as the queue lives they are its own.
  explicit BatchQueue(Examples& examples);
  /// Stops the reader at any point.
  ~BatchQueue();
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  /// The next batch, valid until the next call of any function; null at the end.
  /// Errors    what Examples::next() threw in the reader; the queue then needs a seek().
  const Batch* next();

  /// Continues at this place. Errors: std::invalid_argument as Examples::seek().
  void seek(std::int64_t epoch, std::int64_t position);

  /// As of the examples.
  std::int64_t length() const { return length_; }
  std::int64_t stride() const { return stride_; }
  std::int64_t batches() const { return batches_; }
  const Batch& largest() const { return largest_; }

 private:
  static constexpr std::int64_t kBatches = 4;  // read ahead, the one in use included

  void read();
  Batch& slot(std::int64_t k) { return slots_[static_cast<std::size_t>(k % kBatches)]; }

  Examples& examples_;  // the reader's while `reading_`
  const std::int64_t length_, stride_, batches_;
  const Batch largest_;
  std::array<Batch, kBatches> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t filled_ = 0, freed_ = 0;  // batches since the last seek
  bool in_use_ = false;                  // the caller holds batch `freed_`
  bool reading_ = false, ended_ = false, stop_ = false;
  std::exception_ptr error_;
  std::thread reader_;  // last: it uses all the others
};

}  // namespace unroll
