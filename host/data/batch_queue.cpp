#include "host/data/batch_queue.h"

#include <algorithm>
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
    stop_ = true;
  }
  changed_.notify_all();
  reader_.join();
}

const Batch* BatchQueue::next() {
  std::unique_lock lock(mutex_);
  if (std::exchange(in_use_, false)) {
    ++freed_;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return filled_ > freed_ || ended_; });
  if (filled_ == freed_) {
    if (error_) std::rethrow_exception(error_);
    return nullptr;
  }
  in_use_ = true;
  return &slot(freed_);
}

void BatchQueue::seek(std::int64_t epoch, std::int64_t position) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !reading_; });
  examples_.seek(epoch, position);
  filled_ = freed_ = 0;
  in_use_ = ended_ = false;
  error_ = nullptr;
  changed_.notify_all();
}

void BatchQueue::read() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (!ended_ && filled_ - freed_ < kBatches); });
    if (stop_) return;
    Batch& free = slot(filled_);
    reading_ = true;
    lock.unlock();
    std::exception_ptr error;
    bool got = false;
    try {
      got = examples_.next(free);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    reading_ = false;
    error_ = error;
    ended_ = !got;
    if (!ended_) ++filled_;
    changed_.notify_all();
  }
}

}  // namespace unroll
