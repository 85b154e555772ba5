#include "host/cpu/thread_pool.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "host/cpu/subnormals.h"

namespace unroll::host {
namespace {

// A pause takes 10 to 40 ns, so a long spin takes 50 to 200 us: far longer than the 0.1 us of a
// barrier whose threads all run, and a small part of a time slice if they do not. It must outlast
// waking a sleeping thread, 50 us and more on a virtual machine. Otherwise the threads that wait
// for it fall asleep, too, and one delay is repeated from step to step. (With 1200 pauses a tanh
// cell of 200 units was 3.5 times slower there than with 5000.)
constexpr int kLongSpin = 5000;
// If a long spin for a working thread was in vain, that thread is probably queued for this very
// core and gets it only once this thread sleeps. So the next few spins are short, and then one is
// long again.
constexpr int kShortSpin = 40;
constexpr int kShortSpins = 15;
thread_local int short_spins_left = 0;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Range split_range(std::int64_t count, std::int64_t grain, int part, int parts) {
  const std::int64_t units = (count + grain - 1) / grain;
  const std::int64_t each = units / parts, extra = units % parts;
  const auto start = [&](std::int64_t p) {
    return std::min(count, (each * p + std::min(p, extra)) * grain);
  };
  return {start(part), start(part + 1)};
}

ThreadPool::ThreadPool(int threads) : size_(threads) {
  if (threads < 1)
    throw std::invalid_argument("ThreadPool: got " + std::to_string(threads) +
                                " threads, expected at least 1");
  errors_.resize(static_cast<std::size_t>(threads));
  threads_.reserve(static_cast<std::size_t>(threads) - 1);
  try {
    for (int t = 1; t < threads; ++t) threads_.emplace_back([this, t] { work(t); });
  } catch (const std::system_error& error) {
    const std::size_t started = threads_.size() + 1;
    stop();  // threads that have started must not outlive the pool
    throw std::runtime_error("threads: got " + std::to_string(started) + " from the system (" +
                             error.code().message() + "), expected " + std::to_string(threads));
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop();
}

void ThreadPool::stop() {
  stopping_ = true;
  generation_.fetch_add(1);
  wake_sleepers();
  for (std::thread& thread : threads_) thread.join();
}

// A waiting thread counts itself as asleep, then checks the condition. A waking thread makes the
// condition true, then checks the count. Both are sequentially consistent, so one of them sees the
// other, and the mutex covers the time between checking and sleeping.
template <typename Condition>
void ThreadPool::wait_until(const Condition& condition, int& short_left) {
  if (condition()) return;
  const bool is_short = short_left > 0;
  for (int spin = is_short ? kShortSpin : kLongSpin; spin > 0; --spin) {
    pause_briefly();
    if (condition()) {
      short_left = 0;
      return;
    }
  }
  short_left = is_short ? short_left - 1 : kShortSpins;
  std::unique_lock lock(mutex_);
  sleepers_.fetch_add(1);
  wake_.wait(lock, condition);
  sleepers_.fetch_sub(1);
}

void ThreadPool::wake_sleepers() {
  if (sleepers_.load() == 0) return;
  { const std::lock_guard lock(mutex_); }
  wake_.notify_all();
}

void ThreadPool::run_body(int thread) {
  try {
    job_(body_, thread);
  } catch (...) {
    errors_[static_cast<std::size_t>(thread)] = std::current_exception();
  }
}

void ThreadPool::run_job(Job job, const void* body) {
  job_ = job;
  body_ = body;
  subnormal_mode_ = subnormal_mode();
  running_.store(size_ - 1);
  if (size_ > 1) {
    generation_.fetch_add(1);
    wake_sleepers();
  }
  run_body(0);
  wait_until([this] { return running_.load() == 0; }, short_spins_left);

  std::exception_ptr first;
  for (std::exception_ptr& error : errors_)
    if (std::exception_ptr e = std::exchange(error, nullptr); e && !first) first = std::move(e);
  if (first) std::rethrow_exception(first);
}

void ThreadPool::work(int thread) {
  for (std::uint32_t seen = 0;;) {
    int idle = 0;  // time without a job says nothing about the cores
    wait_until([&] { return generation_.load() != seen; }, idle);
    ++seen;  // jobs do not overlap, so the generation is never more than one ahead
    if (stopping_) return;
    set_subnormal_mode(subnormal_mode_);
    run_body(thread);
    if (running_.fetch_sub(1) == 1) wake_sleepers();
  }
}

void ThreadPool::barrier() {
  if (size_ == 1) return;
  const std::uint32_t phase = phase_.load();
  if (arrived_.fetch_add(1) == size_ - 1) {
    arrived_.store(0);  // before the phase: a released thread may return at once
    phase_.store(phase + 1);
    wake_sleepers();
  } else {
    wait_until([&] { return phase_.load() != phase; }, short_spins_left);
  }
}

}  // namespace unroll::host
