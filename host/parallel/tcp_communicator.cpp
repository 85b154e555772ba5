#include "host/parallel/tcp_communicator.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "host/parallel/heartbeat.h"
#include "host/parallel/shared_link.h"
#include "host/parallel/tcp_start.h"

namespace unroll {
namespace {

/// What is still to be sent to and received from one rank.
struct Flow {
  int rank = 0, connection = -1;
  SharedLink* shared = nullptr;  // null: the bytes go over the connection
  std::deque<std::span<const std::byte>> out;
  std::deque<std::span<std::byte>> in;

  bool is_over() const { return out.empty() && in.empty(); }
};

enum class Moved : std::uint8_t { kNothing, kSome, kBroken };

/// Moves as many bytes as go without waiting.
template <typename Bytes, typename Call>
Moved move_bytes(std::deque<Bytes>& queue, const Call& call) {
  Moved result = Moved::kNothing;
  while (!queue.empty()) {
    if (queue.front().empty()) {
      queue.pop_front();
      continue;
    }
    const ssize_t moved = call(queue.front());
    if (moved > 0) {
      queue.front() = queue.front().subspan(std::size_t(moved));
      result = Moved::kSome;
      continue;
    }
    if (moved < 0 && errno == EINTR) continue;
    return moved < 0 && errno == EAGAIN ? result : Moved::kBroken;
  }
  return result;
}

/// As send() and recv() say it.
ssize_t or_again(std::size_t moved) {
  if (moved > 0) return ssize_t(moved);
  errno = EAGAIN;
  return -1;
}

Moved advance(Flow& flow) {
  const Moved sent = move_bytes(flow.out, [&](std::span<const std::byte> bytes) {
    return flow.shared
               ? or_again(flow.shared->write(bytes))
               : ::send(flow.connection, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  });
  const Moved got = move_bytes(flow.in, [&](std::span<std::byte> bytes) {
    return flow.shared ? or_again(flow.shared->read(bytes))
                       : ::recv(flow.connection, bytes.data(), bytes.size(), MSG_DONTWAIT);
  });
  const Moved moved = std::max(sent, got);
  if (flow.shared && moved == Moved::kSome && flow.shared->peer_waits()) {
    constexpr char kRing = 0;
    ::send(flow.connection, &kRing, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  return moved;
}

/// What a wait for this flow's connection would wait for.
short events_of(const Flow& flow) {
  if (flow.shared) return POLLIN;
  return short((flow.out.empty() ? 0 : POLLOUT) | (flow.in.empty() ? 0 : POLLIN));
}

/// Takes what rang; false if the connection is broken.
bool hear_ring(const Flow& flow) {
  std::array<char, 64> rings{};
  const ssize_t got = ::recv(flow.connection, rings.data(), rings.size(), MSG_DONTWAIT);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
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
      flows[rank].shared = connections_.shared[rank].get();
    }
    while (advance_all(flows)) {
    }
  }

  bool fail(const std::string& why) noexcept override { return heartbeat_->tell_failure(why); }

  void on_failure(std::function<void()> call) override {
    const std::lock_guard lock(mutex_);
    if (heartbeat_->has_failed()) return call();
    calls_.push_back(std::move(call));
  }

  void finish() override {
    barrier();
    heartbeat_->say_goodbye();
  }

 private:
  /// Moves what can be moved, and waits if that is nothing; false once all is done.
  bool advance_all(std::vector<Flow>& flows) {
    std::erase_if(flows, [](const Flow& flow) { return flow.is_over(); });
    if (flows.empty()) return false;
    if (advance_each(flows)) return true;
    // Copies of another rank take some microseconds, and a wait takes as long.
    constexpr int kTries = 200;
    const bool all_shared =
        std::ranges::all_of(flows, [](const Flow& flow) { return flow.shared; });
    for (int k = 0; all_shared && k < kTries; ++k)
      if (advance_each(flows)) return true;
    for (const Flow& flow : flows)
      if (flow.shared) flow.shared->ask_for_ring(!flow.out.empty(), !flow.in.empty());
    if (!advance_each(flows)) wait(flows);
    return true;
  }

  /// Whether anything has moved.
  bool advance_each(std::vector<Flow>& flows) {
    bool some = false;
    for (Flow& flow : flows) {
      const Moved moved = advance(flow);
      if (moved == Moved::kBroken || heartbeat_->has_failed()) heartbeat_->throw_failure(flow.rank);
      some = some || moved == Moved::kSome || flow.is_over();
    }
    return some;
  }

  void wait(const std::vector<Flow>& flows) {
    std::vector<pollfd> polls;
    for (const Flow& flow : flows) polls.push_back({flow.connection, events_of(flow), 0});
    constexpr int kPause = 1000;  // milliseconds
    ::poll(polls.data(), polls.size(), kPause);
    for (std::size_t k = 0; k < flows.size(); ++k)
      if (flows[k].shared && polls[k].revents != 0 && !hear_ring(flows[k]))
        heartbeat_->throw_failure(flows[k].rank);
  }

  /// Ends every wait for data.
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      for (const std::function<void()>& call : calls_) call();
    }
    for (const auto& connection : connections_.data)
      if (connection) ::shutdown(connection->get(), SHUT_RDWR);
  }

  int rank_, size_;
  TcpConnections connections_;
  std::mutex mutex_;  // of what follows
  std::vector<std::function<void()>> calls_;
  std::optional<Heartbeat> heartbeat_;  // last: its thread uses the others
};

}  // namespace

std::unique_ptr<Communicator> connect_ranks(TcpRanks ranks) {
  return std::make_unique<TcpCommunicator>(std::move(ranks));
}

}  // namespace unroll
