#include "host/data/batch_queue.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace unroll {

BatchQueue::BatchQueue(BatchStream stream) : stream_(std::move(stream)) {
  for (Slot& slot : slots_) {
    slot.inputs.resize(static_cast<std::size_t>(stream_.room()));
    slot.targets.resize(slot.inputs.size());
  }
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
  return &slot(freed_).batch;
}

void BatchQueue::seek(std::int64_t position) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !reading_; });
  stream_.set_position(position);
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
    Slot& free = slot(filled_);
    reading_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      fill(free);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    reading_ = false;
    error_ = error;
    ended_ = error || free.batch.steps == 0;
    if (!ended_) ++filled_;
    changed_.notify_all();
  }
}

void BatchQueue::fill(Slot& slot) {
  const std::int64_t steps = stream_.next(slot.inputs, slot.targets);
  const auto size = static_cast<std::size_t>(steps * stream_.streams());
  slot.batch.inputs = std::span(slot.inputs).first(size);
  slot.batch.targets = std::span(slot.targets).first(size);
  slot.batch.steps = steps;
  slot.batch.position_after = stream_.position();
  slot.batch.tokens = static_cast<std::int64_t>(size) -
                      std::count(slot.batch.targets.begin(), slot.batch.targets.end(), kIgnoredId);
}

}  // namespace unroll
