#include "host/serve/model_thread.h"

#include <utility>

namespace unroll::serve {

ModelThread::ModelThread(const LoadedModel& model, std::int64_t rows)
    : batch_(model, rows), thread_([this] { run(); }) {}

ModelThread::~ModelThread() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ModelThread::add(std::vector<std::shared_ptr<BatchText>> texts) {
  {
    const std::scoped_lock lock(mutex_);
    for (std::shared_ptr<BatchText>& text : texts) added_.push_back(std::move(text));
    woken_ = true;
  }
  changed_.notify_one();
}

void ModelThread::wake() {
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  changed_.notify_one();
}

/// False when the thread is to end. `idle`: waits for something new.
bool ModelThread::take_added(bool idle) {
  std::vector<std::shared_ptr<BatchText>> added;
  {
    std::unique_lock lock(mutex_);
    if (idle) changed_.wait(lock, [&] { return woken_ || stop_; });
    woken_ = false;
    if (stop_) return false;
    added.swap(added_);
  }
  for (std::shared_ptr<BatchText>& text : added) batch_.add(std::move(text));
  return true;
}

void ModelThread::run() {
  bool reads = false;
  while (take_added(!reads)) {
    reads = batch_.step();
    reading_ = batch_.reading();
    waiting_ = batch_.waiting();
  }
}

}  // namespace unroll::serve
