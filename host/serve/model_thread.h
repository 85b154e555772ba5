/// The thread on which a model reads the texts of all clients.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "host/infer/continuous_batch.h"
#include "host/models/model_file.h"

namespace unroll::serve {

class ModelThread {
 public:
  /// The model must outlive it, and is its own while it lives. Errors: as ContinuousBatch.
  ModelThread(const LoadedModel& model, std::int64_t rows);
  /// Drops the texts that are not at their end.
  ~ModelThread();

  // Any thread may call these.

  void add(std::vector<std::shared_ptr<BatchText>> texts);
  /// A text has another state than before.
  void wake();
  /// Texts that are read now, and those that wait for a row.
  std::int64_t reading() const { return reading_; }
  std::int64_t waiting() const { return waiting_; }

 private:
  void run();
  bool take_added(bool idle);

  ContinuousBatch batch_;
  std::atomic<std::int64_t> reading_ = 0, waiting_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  // What the mutex guards.
  std::vector<std::shared_ptr<BatchText>> added_;
  bool woken_ = false, stop_ = false;

  std::thread thread_;  // last: it uses the others
};

}  // namespace unroll::serve
