/// Reads batches ahead in a thread of its own, so that a step never waits for a page of a file.
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>

#include "host/data/examples.h"
#include "unroll/queue.h"

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
  static constexpr std::size_t kBatches = 4;  // read ahead, the one in use included

  struct Slot {
    Batch* batch;
    std::int64_t pass;
  };

  void read();
  void free_all_slots();

  Examples& examples_;
  const std::int64_t length_, stride_, batches_;
  const Batch largest_;
  std::array<Batch, kBatches> slots_;
  Queue<Slot> free_{kBatches};
  Queue<Batch*> filled_{kBatches};
  // The caller's.
  Batch* in_use_ = nullptr;
  std::exception_ptr error_;  // of the reader, until the next seek
  // What caller and reader share.
  std::mutex mutex_;       // of the examples, too
  std::int64_t pass_ = 0;  // a new one with each seek; slots of an older one are not used
  bool ended_ = false;
  std::thread reader_;  // last: it uses all the others
};

}  // namespace unroll
