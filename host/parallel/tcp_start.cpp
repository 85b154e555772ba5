#include "host/parallel/tcp_start.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

#include "host/parallel/shared_link.h"
#include "unroll/version.h"

namespace unroll {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::array<char, 8> kMagic = {'u', 'n', 'r', 'o', 'l', 'l', '/', '1'};
constexpr milliseconds kGreeting{5'000};  // for what a connection has to say first

/// What a rank says to rank 0.
struct Hello {
  std::array<char, 8> magic = kMagic;
  std::int32_t rank = 0, ranks = 0, port = 0;
  std::array<char, 20> version = {};
};

/// What rank 0 answers once all have come.
struct Answer {
  std::uint64_t token = 0;
  std::array<char, 256> refusal = {};  // empty: the addresses of all ranks follow
};
struct RankAddress {
  std::array<char, 64> host = {};
  std::int32_t port = 0;
};

/// What a rank says to a lower one.
struct DataHello {
  std::array<char, 8> magic = kMagic;
  std::uint64_t token = 0;
  std::int64_t rank = 0;
};

template <typename T>
std::span<std::byte> raw(T& value) {
  static_assert(std::has_unique_object_representations_v<T>);
  return std::as_writable_bytes(std::span(&value, 1));
}

template <std::size_t N>
void copy_text(const std::string& text, std::array<char, N>& to) {
  std::memcpy(to.data(), text.data(), std::min(text.size(), N - 1));
}

void refuse(const Descriptor& connection, const std::string& why) {
  Answer answer;
  copy_text(why, answer.refusal);
  send_all(connection.get(), raw(answer), Clock::now() + kGreeting);
}

/// Why a rank cannot be one of ours; empty: it can.
std::string why_refused(const Hello& hello, const TcpRanks& ours, bool is_here) {
  if (std::string(hello.version.data(), ::strnlen(hello.version.data(), hello.version.size())) !=
      kVersion)
    return fmt::format("rank {}: got another version than {}, rank 0's", hello.rank, kVersion);
  if (hello.ranks != ours.ranks || hello.rank < 1 || hello.rank >= hello.ranks)
    return fmt::format("rank {} of {}: rank 0 at {} expects {} ranks", hello.rank, hello.ranks,
                       to_string(ours.first), ours.ranks);
  if (is_here)
    return fmt::format("rank {}: is at {} already, of another run perhaps", hello.rank,
                       to_string(ours.first));
  return "";
}

/// Rank 0's side.
class Meeting {
 public:
  explicit Meeting(TcpRanks& ranks)
      : ranks_(ranks),
        listener_(ranks.listener ? std::move(*ranks.listener) : listen_at(ranks.first)),
        deadline_(Clock::now() + ranks.start_limit),
        addresses_(std::size_t(ranks.ranks)) {
    connections_.data.resize(std::size_t(ranks.ranks));
    connections_.control.resize(std::size_t(ranks.ranks));
    addresses_[0].port = port_of(listener_.get());
    std::random_device random;
    token_ = std::uint64_t(random()) << 32 | random();
  }

  TcpConnections run() {
    for (int missing = ranks_.ranks - 1; missing > 0;) missing -= receive_control() ? 1 : 0;
    for (int rank = 1; rank < ranks_.ranks; ++rank) answer(rank);
    for (int missing = ranks_.ranks - 1; missing > 0;) missing -= receive_data() ? 1 : 0;
    return std::move(connections_);
  }

 private:
  std::optional<Descriptor> next_connection(
      const std::vector<std::optional<Descriptor>>& connections) {
    ranks_.while_waiting();
    if (Clock::now() > deadline_) {
      std::string missing;
      for (int rank = 1; rank < ranks_.ranks; ++rank)
        if (!connections[std::size_t(rank)])
          missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
      throw std::runtime_error(
          fmt::format("ranks: {} did not come to {} within {} seconds, expected {} in all", missing,
                      to_string({ranks_.first.host, port_of(listener_.get())}),
                      ranks_.start_limit.count() / 1000, ranks_.ranks));
    }
    return accept_from(listener_.get(), Clock::now() + milliseconds(1000));
  }

  bool receive_control() {
    std::optional<Descriptor> connection = next_connection(connections_.control);
    Hello hello;
    if (!connection || !receive_all(connection->get(), raw(hello), Clock::now() + kGreeting) ||
        hello.magic != kMagic)
      return false;
    const auto rank = std::size_t(hello.rank);
    const bool known = hello.rank >= 0 && hello.rank < ranks_.ranks;
    const bool is_here = known && connections_.control[rank];
    if (const std::string why = why_refused(hello, ranks_, is_here); !why.empty()) {
      refuse(*connection, why);
      return false;
    }
    copy_text(peer_host(connection->get()), addresses_[rank].host);
    addresses_[rank].port = hello.port;
    connections_.control[rank].emplace(std::move(*connection));
    return true;
  }

  void answer(int rank) {
    const Descriptor& connection = *connections_.control[std::size_t(rank)];
    Answer answer{.token = token_};
    const auto deadline = Clock::now() + kGreeting;
    if (!send_all(connection.get(), raw(answer), deadline) ||
        !send_all(connection.get(), std::as_bytes(std::span(addresses_)), deadline))
      throw std::runtime_error(fmt::format("rank {}: has gone during the start", rank));
  }

  bool receive_data() {
    std::optional<Descriptor> connection = next_connection(connections_.data);
    DataHello hello;
    if (!connection || !receive_all(connection->get(), raw(hello), Clock::now() + kGreeting) ||
        hello.magic != kMagic || hello.token != token_ || hello.rank < 1 ||
        hello.rank >= ranks_.ranks)
      return false;
    connections_.data[std::size_t(hello.rank)].emplace(std::move(*connection));
    return true;
  }

  TcpRanks& ranks_;
  Descriptor listener_;
  SteadyTime deadline_;
  std::vector<RankAddress> addresses_;
  std::uint64_t token_ = 0;
  TcpConnections connections_;
};

[[noreturn]] void fail_start(int rank, const std::string& what) {
  throw std::runtime_error(fmt::format("rank {}: {}", rank, what));
}

/// Any other rank's side.
TcpConnections join(const TcpRanks& ranks) {
  const SteadyTime deadline = Clock::now() + ranks.start_limit;
  TcpConnections made;
  made.data.resize(std::size_t(ranks.ranks));
  made.control.resize(std::size_t(ranks.ranks));
  Descriptor& control = made.control[0].emplace(connect_to(ranks.first, deadline));
  const Descriptor listener = listen_at({own_host(control.get()), 0});
  Hello hello{.rank = ranks.rank, .ranks = ranks.ranks, .port = port_of(listener.get())};
  copy_text(kVersion, hello.version);
  Answer answer;
  std::vector<RankAddress> addresses(std::size_t(ranks.ranks));
  if (!send_all(control.get(), raw(hello), deadline) ||
      !receive_all(control.get(), raw(answer), deadline))
    fail_start(ranks.rank, fmt::format("rank 0 at {} went away, or other ranks did not come, "
                                       "within {} seconds",
                                       to_string(ranks.first), ranks.start_limit.count() / 1000));
  if (answer.refusal[0]) throw std::runtime_error(answer.refusal.data());
  if (!receive_all(control.get(), std::as_writable_bytes(std::span(addresses)), deadline))
    fail_start(ranks.rank, "rank 0 has gone during the start");
  for (int other = 0; other < ranks.rank; ++other) {
    const RankAddress& address = addresses[std::size_t(other)];
    const std::string host = other == 0 ? peer_host(control.get()) : address.host.data();
    made.data[std::size_t(other)].emplace(connect_to({host, address.port}, deadline));
    DataHello data{.token = answer.token, .rank = ranks.rank};
    if (!send_all(made.data[std::size_t(other)]->get(), raw(data), deadline))
      fail_start(ranks.rank, fmt::format("rank {} has gone during the start", other));
  }
  for (int missing = ranks.ranks - 1 - ranks.rank; missing > 0;) {
    std::optional<Descriptor> connection = accept_from(listener.get(), deadline);
    if (Clock::now() > deadline) fail_start(ranks.rank, "higher ranks did not come in time");
    DataHello data;
    if (!connection || !receive_all(connection->get(), raw(data), Clock::now() + kGreeting) ||
        data.magic != kMagic || data.token != answer.token || data.rank <= ranks.rank ||
        data.rank >= ranks.ranks)
      continue;
    made.data[std::size_t(data.rank)].emplace(std::move(*connection));
    --missing;
  }
  return made;
}

/// Data between ranks of one machine go through memory that they share; the connection then only
/// wakes who waits. Of two ranks the lower one offers. It is a rank of this machine if the two ends
/// of the connection have one address.
void share_memory(const TcpRanks& ranks, TcpConnections& made) {
  const SteadyTime deadline = Clock::now() + ranks.start_limit;
  const auto count = std::size_t(ranks.ranks), own = std::size_t(ranks.rank);
  const auto require = [&](bool done, std::size_t other) {
    if (!done) fail_start(ranks.rank, fmt::format("rank {} has gone during the start", other));
  };
  made.shared.resize(count);
  std::vector<std::unique_ptr<SharedLink::Made>> offered(count);
  for (std::size_t other = own + 1; other < count; ++other) {
    const int connection = made.data[other]->get();
    if (ranks.share_memory && own_host(connection) == peer_host(connection))
      offered[other] = SharedLink::Made::make();
    SharedOffer offer = offered[other] ? offered[other]->offer() : SharedOffer{};
    require(send_all(connection, raw(offer), deadline), other);
  }
  for (std::size_t other = 0; other < own; ++other) {
    const int connection = made.data[other]->get();
    SharedOffer offer;
    require(receive_all(connection, raw(offer), deadline), other);
    made.shared[other] = SharedLink::find(offer);
    char found = made.shared[other] ? 1 : 0;
    require(send_all(connection, raw(found), deadline), other);
  }
  for (std::size_t other = own + 1; other < count; ++other) {
    char found = 0;
    require(receive_all(made.data[other]->get(), raw(found), deadline), other);
    if (found) made.shared[other] = offered[other]->take();
  }
}

}  // namespace

TcpConnections find_ranks(TcpRanks& ranks) {
  TcpConnections made = ranks.rank == 0 ? Meeting(ranks).run() : join(ranks);
  share_memory(ranks, made);
  return made;
}

}  // namespace unroll
