/// Signs of life between ranks, and what is told when one of them fails.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/base/file.h"
#include "host/parallel/communicator.h"

namespace unroll {

/// A thread says every second that this process lives, however long its other threads compute, and
/// listens for the same. Rank 0 hears all others, and they hear rank 0, which passes on who failed.
class Heartbeat {
 public:
  struct Options {
    int rank = 0;
    std::chrono::milliseconds silence_limit{10'000};
    std::function<void()> on_failure;  // in the thread, once
    std::function<void(const RankFailure&)> overdue;
  };
  /// A connection for each rank that this one hears; empty for the others.
  Heartbeat(std::vector<std::optional<Descriptor>> connections, Options options);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  bool has_failed() const { return failed_; }
  /// Waits until it is known why, after a connection to `rank` broke.
  /// Errors    RankFailure, always.
  [[noreturn]] void throw_failure(int rank);

  /// What Communicator::fail() and finish() say.
  bool tell_failure(const std::string& why) noexcept;
  void say_goodbye();

 private:
  struct Peer {
    int rank;
    Descriptor connection;
    std::chrono::steady_clock::time_point heard;
    std::string received = {};
    bool done = false;
  };
  void run();
  bool listen();
  void hear(Peer& peer);
  void understand(Peer& peer);
  void lose(Peer& peer, const std::string& how);
  void set_failure(const std::string& what, int teller, int except);
  void send_to_all(std::uint32_t kind, const std::string& text, int except);

  Options options_;
  std::vector<Peer> peers_;
  Descriptor wake_;
  std::mutex mutex_;  // of what follows, and of writing to connections
  std::condition_variable changed_;
  std::optional<RankFailure> failure_;
  std::chrono::steady_clock::time_point failed_at_;
  std::atomic<bool> failed_{false};
  bool noticed_ = false, ended_ = false;
  std::thread thread_;
};

}  // namespace unroll
