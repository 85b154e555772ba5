/// A fixed set of threads that run one function together, with a barrier that is cheap enough
/// (about 0.1 us) for every timestep of a recurrence. One thread drives the pool: two threads may
/// not call run() and parallel_for() at the same time, and a body may not call them. All threads
/// treat subnormal numbers like the thread that drives them (subnormals.h).
///
/// A waiting thread spins for about a hundred microseconds, then sleeps. So a machine with more
/// busy threads than cores slows down in proportion and does not waste its time slices in spin
/// loops.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace unroll::host {

/// A half-open range of indices.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Part `part` of `parts` of [0, count): contiguous, in units of `grain` (the last may be shorter);
/// two parts differ by at most one unit. It depends only on the arguments, so it is reproducible.
Range split_range(std::int64_t count, std::int64_t grain, int part, int parts);

class ThreadPool {
 public:
  /// The caller of run() is one of the threads: a pool of size 1 starts none.
  /// Errors    std::invalid_argument unless threads >= 1; std::runtime_error if the system starts
  ///           fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Calls body(thread) once for every thread in [0, size()), thread 0 being the caller, and
  /// returns when all are done. It allocates nothing. The caller sees all writes of the bodies.
  /// Errors    rethrows an exception from a body when all threads are done (that of the lowest
  ///           thread, if several). A body that uses barrier() must not throw: the others would
  ///           wait forever.
  template <typename Body>
  void run(const Body& body) {
    run_job([](const void* b, int thread) { (*static_cast<const Body*>(b))(thread); }, &body);
  }

  /// Inside run(): returns when all size() threads have called it as often as this one. What a
  /// thread wrote before it is visible to every thread after it.
  void barrier();

  /// Calls body(begin, end) for a partition of [0, count) by split_range(), on as many threads as
  /// have work. If that is only one, it runs on the caller.
  template <typename Body>
  void parallel_for(std::int64_t count, std::int64_t grain, const Body& body) {
    if (size_ == 1 || count <= grain) {
      if (count > 0) body(std::int64_t{0}, count);
      return;
    }
    run([&](int thread) {
      const Range range = split_range(count, grain, thread, size_);
      if (range.begin < range.end) body(range.begin, range.end);
    });
  }

 private:
  using Job = void (*)(const void* body, int thread);

  void run_job(Job job, const void* body);
  void run_body(int thread);
  void work(int thread);
  void stop();
  template <typename Condition>
  void wait_until(const Condition& condition, int& short_left);
  void wake_sleepers();

  const int size_;
  Job job_ = nullptr;
  const void* body_ = nullptr;
  std::uint64_t subnormal_mode_ = 0;
  bool stopping_ = false;
  std::vector<std::exception_ptr> errors_;  // one per thread, so recording needs no lock
  std::vector<std::thread> threads_;

  // Each has its own cache line: threads spin on one while others change the next.
  alignas(64) std::atomic<std::uint32_t> generation_{0};  // number of the job; a new one starts it
  alignas(64) std::atomic<int> running_{0};               // workers still at the job
  alignas(64) std::atomic<int> arrived_{0};               // threads inside barrier()
  alignas(64) std::atomic<std::uint32_t> phase_{0};       // barriers completed
  alignas(64) std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace unroll::host
