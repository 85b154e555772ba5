/// Ranks that are processes, on one machine or several, joined by TCP: a connection between any two
/// for their data, or to wake each other where these go through shared memory, and one from each
/// rank to rank 0 for signs of life.
///
/// A connection is not encrypted, and anyone who can reach the ports can disturb a run: they belong
/// in a network that is trusted.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/base/file.h"
#include "host/parallel/communicator.h"
#include "host/parallel/sockets.h"

namespace unroll {

struct TcpRanks {
  int rank = 0, ranks = 1;
  SocketAddress first;  // where rank 0 listens
  /// Rank 0: a socket that listens there already.
  std::optional<Descriptor> listener = {};
  /// Data between ranks of one machine go through memory that they share.
  bool share_memory = true;
  std::chrono::milliseconds start_limit{60'000};    // for all ranks to come
  std::chrono::milliseconds silence_limit{10'000};  // without a sign of life
  /// Rank 0 calls it about every second as long as ranks are missing. What it throws ends the
  /// start.
  std::function<void()> while_waiting = [] {};
  /// Called from another thread if the run has failed and this rank has not noticed for some
  /// seconds, because it computes. It should end the process.
  std::function<void(const RankFailure&)> overdue = [](const RankFailure&) {};
};

/// Waits for all ranks.
/// Errors    std::runtime_error if they do not come in time, or come from another version.
std::unique_ptr<Communicator> connect_ranks(TcpRanks ranks);

}  // namespace unroll
