#include "host/parallel/tcp_communicator.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>
#include <vector>

#include "host/parallel/heartbeat.h"
#include "host/parallel/tcp_start.h"

namespace unroll {
namespace {

/// What is still to be sent to and received from one rank.
struct Flow {
  int rank = 0, connection = -1;
  std::deque<std::span<const std::byte>> out;
  std::deque<std::span<std::byte>> in;

  bool is_over() const { return out.empty() && in.empty(); }
};

/// Moves as many bytes as go without waiting; false if the connection is broken.
template <typename Bytes, typename Call>
bool move_bytes(std::deque<Bytes>& queue, const Call& call) {
  while (!queue.empty()) {
    if (queue.front().empty()) {
      queue.pop_front();
      continue;
    }
    const ssize_t moved = call(queue.front());
    if (moved > 0) {
      queue.front() = queue.front().subspan(std::size_t(moved));
      continue;
    }
    if (moved < 0 && errno == EINTR) continue;
    return moved < 0 && errno == EAGAIN;
  }
  return true;
}

bool advance(Flow& flow) {
  return move_bytes(flow.out,
                    [&](std::span<const std::byte> bytes) {
                      return ::send(flow.connection, bytes.data(), bytes.size(),
                                    MSG_NOSIGNAL | MSG_DONTWAIT);
                    }) &&
         move_bytes(flow.in, [&](std::span<std::byte> bytes) {
           return ::recv(flow.connection, bytes.data(), bytes.size(), MSG_DONTWAIT);
         });
}

class TcpCommunicator final : public Communicator {
 public:
  explicit TcpCommunicator(TcpRanks ranks)
      : rank_(ranks.rank), size_(ranks.ranks), connections_(find_ranks(ranks)) {
    heartbeat_.emplace(std::move(connections_.control),
                       Heartbeat::Options{.rank = rank_,
                                          .silence_limit = ranks.silence_limit,
                                          .on_failure = [this] { wake(); },
                                          .overdue = std::move(ranks.overdue)});
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) override {
    std::vector<Flow> flows(std::size_t(size_), Flow{});
    for (const Outgoing& message : out)
      flows.at(std::size_t(message.to)).out.push_back(message.bytes);
    for (const Incoming& message : in)
      flows.at(std::size_t(message.from)).in.push_back(message.bytes);
    for (std::size_t rank = 0; rank < flows.size(); ++rank) {
      flows[rank].rank = int(rank);
      if (connections_.data[rank]) flows[rank].connection = connections_.data[rank]->get();
    }
    std::erase_if(flows, [](const Flow& flow) { return flow.is_over(); });
    std::vector<pollfd> polls;
    for (;;) {
      for (Flow& flow : flows)
        if (!advance(flow) || heartbeat_->has_failed()) heartbeat_->throw_failure(flow.rank);
      std::erase_if(flows, [](const Flow& flow) { return flow.is_over(); });
      if (flows.empty()) return;
      polls.clear();
      for (const Flow& flow : flows)
        polls.push_back({flow.connection,
                         short((flow.out.empty() ? 0 : POLLOUT) | (flow.in.empty() ? 0 : POLLIN)),
                         0});
      constexpr int kPause = 1000;  // milliseconds
      ::poll(polls.data(), polls.size(), kPause);
    }
  }

  bool fail(const std::string& why) noexcept override { return heartbeat_->tell_failure(why); }

  void finish() override {
    barrier();
    heartbeat_->say_goodbye();
  }

 private:
  /// Ends every wait for data.
  void wake() {
    for (const auto& connection : connections_.data)
      if (connection) ::shutdown(connection->get(), SHUT_RDWR);
  }

  int rank_, size_;
  TcpConnections connections_;
  std::optional<Heartbeat> heartbeat_;  // last: its thread uses the others
};

}  // namespace

std::unique_ptr<Communicator> connect_ranks(TcpRanks ranks) {
  return std::make_unique<TcpCommunicator>(std::move(ranks));
}

}  // namespace unroll
