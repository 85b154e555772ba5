#include "host/data/batch_queue.h"

#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace unroll {

BatchQueue::BatchQueue(Examples& examples)
    : examples_(examples),
      length_(examples.length()),
      stride_(examples.stride()),
      batches_(examples.batches()),
      largest_(examples.largest()) {
  slots_.fill(largest_);
  free_all_slots();
  try {
    reader_ = std::thread([this] { read(); });
  } catch (const std::system_error& error) {
    throw std::runtime_error("threads: got none from the system to read the text (" +
                             error.code().message() + "), expected one");
  }
}

BatchQueue::~BatchQueue() {
  {
    const std::lock_guard lock(mutex_);
    ++pass_;
  }
  free_.close();
  reader_.join();
}

const Batch* BatchQueue::next() {
  if (in_use_) free_.push({std::exchange(in_use_, nullptr), pass_});
  if (error_) std::rethrow_exception(error_);
  try {
    in_use_ = filled_.pop().value_or(nullptr);
  } catch (...) {
    error_ = std::current_exception();
    throw;
  }
  return in_use_;
}

void BatchQueue::seek(std::int64_t epoch, std::int64_t position) {
  const std::lock_guard lock(mutex_);
  examples_.seek(epoch, position);
  ++pass_;
  ended_ = false;
  in_use_ = nullptr;
  error_ = nullptr;
  filled_.reopen();
  free_.reopen();
  free_all_slots();
}

void BatchQueue::free_all_slots() {
  for (Batch& batch : slots_) free_.push({&batch, pass_});
}

/// There is room for every batch in both queues, so only the wait for a free one takes long.
void BatchQueue::read() {
  while (const std::optional<Slot> slot = free_.pop()) {
    const std::lock_guard lock(mutex_);
    if (ended_ || slot->pass != pass_) continue;
    try {
      ended_ = !examples_.next(*slot->batch);
      if (ended_)
        filled_.close();
      else
        filled_.push(slot->batch);
    } catch (...) {
      ended_ = true;
      filled_.fail(std::current_exception());
    }
  }
}

}  // namespace unroll
