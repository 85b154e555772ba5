/// A queue between threads, with room for so many values and no more: for example of batches, which
/// threads prepare and the thread that trains feeds.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace unroll {

/// Any number of threads may push, and any number may pop. Every function may be called at any time
/// by any thread, but the queue must outlive the calls. Nothing is allocated after construction
/// beside what T itself allocates.
template <typename T>
class Queue {
 public:
  /// Errors    std::invalid_argument for a capacity of 0.
  explicit Queue(std::size_t capacity) : slots_(capacity) {
    if (capacity == 0) throw std::invalid_argument("queue: got capacity 0, expected 1 or more");
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  std::size_t capacity() const { return slots_.size(); }

  /// Waits while the queue is full. Returns false if it is closed, or is closed meanwhile; the
  /// value is lost then.
  bool push(T value) {
    std::unique_lock lock(mutex_);
    const std::uint64_t ends = ends_;
    has_room_.wait(lock, [&] { return closed_ || ends != ends_ || size_ < slots_.size(); });
    if (closed_ || ends != ends_) return false;
    slots_[(first_ + size_++) % slots_.size()] = std::move(value);
    lock.unlock();
    has_value_.notify_one();
    return true;
  }

  /// The oldest value. Waits while the queue is empty and open. Once it is closed and empty, the
  /// result is none.
  /// Errors    what fail() was given, thrown by one call, before it would return none.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    const std::uint64_t ends = ends_;
    has_value_.wait(lock, [&] { return closed_ || ends != ends_ || size_ > 0; });
    if (ends != ends_ && !closed_) return std::nullopt;  // it was reopened since
    if (size_ == 0) {
      if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      return std::nullopt;
    }
    std::optional<T> value = std::exchange(slots_[first_], std::nullopt);
    first_ = (first_ + 1) % slots_.size();
    --size_;
    lock.unlock();
    has_room_.notify_one();
    return value;
  }

  /// Ends the queue: values that are in it can still be taken, but no other gets in. Again:
  /// nothing.
  void close() { end(nullptr); }

  /// Ends the queue, because a producer failed. The error is thrown after the last value was taken.
  /// Only the first error counts. One that comes after close() counts, too.
  /// Errors    std::invalid_argument for a null pointer.
  void fail(std::exception_ptr error) {
    if (!error) throw std::invalid_argument("queue: got no error to fail with, expected one");
    end(std::move(error));
  }

  /// Drops values and error, and opens the queue again. A call that waited when it was closed still
  /// returns as from a closed queue.
  void reopen() {
    {
      const std::lock_guard lock(mutex_);
      for (std::optional<T>& slot : slots_) slot.reset();
      first_ = size_ = 0;
      closed_ = failed_ = false;
      error_ = nullptr;
    }
    has_room_.notify_all();
  }

 private:
  void end(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      ++ends_;
      if (error && !std::exchange(failed_, true)) error_ = std::move(error);
    }
    has_room_.notify_all();
    has_value_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable has_room_, has_value_;
  std::vector<std::optional<T>> slots_;  // a ring
  std::size_t first_ = 0, size_ = 0;
  bool closed_ = false, failed_ = false;
  std::uint64_t ends_ = 0;    // how often it was closed: a call that waits may miss it being closed
  std::exception_ptr error_;  // not thrown yet
};

}  // namespace unroll
