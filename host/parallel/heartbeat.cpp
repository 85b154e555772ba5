#include "host/parallel/heartbeat.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace unroll {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kBeatInterval{1'000};
/// A rank that computes notices a failure at its next exchange. It may take so long.
constexpr milliseconds kPatience{5'000};

enum Kind : std::uint32_t { kBeat = 1, kGoodbye, kFailure };

struct Header {
  std::uint32_t kind, length;
};
constexpr std::size_t kLongest = 4096;  // of a text

}  // namespace

Heartbeat::Heartbeat(std::vector<std::optional<Descriptor>> connections, Options options)
    : options_(std::move(options)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd", "cannot be made") {
  for (std::size_t rank = 0; rank < connections.size(); ++rank)
    if (connections[rank])
      peers_.push_back({int(rank), std::move(*connections[rank]), Clock::now()});
  thread_ = std::thread([this] { run(); });
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto ignored = ::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

void Heartbeat::run() {
  auto next_beat = Clock::now();
  for (;;) {
    if (Clock::now() >= next_beat) {
      send_to_all(kBeat, "", -1);
      next_beat = Clock::now() + kBeatInterval;
    }
    if (!listen()) return;
    bool overdue = false;
    {
      const std::lock_guard lock(mutex_);
      overdue = failure_ && !noticed_ && Clock::now() > failed_at_ + kPatience;
      noticed_ = noticed_ || overdue;
    }
    if (overdue && options_.overdue) options_.overdue(*failure_);
  }
}

/// Waits for news; false if there is nothing to wait for any more.
bool Heartbeat::listen() {
  std::vector<pollfd> polls = {{wake_.get(), POLLIN, 0}};
  for (const Peer& peer : peers_)
    polls.push_back({peer.done ? -1 : peer.connection.get(), POLLIN, 0});
  constexpr int kPause = 250;  // milliseconds
  ::poll(polls.data(), polls.size(), kPause);
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
  }
  // What has come is read before silence is looked at: this process may have been stopped itself.
  for (std::size_t k = 0; k < peers_.size(); ++k)
    if (polls[k + 1].revents != 0) hear(peers_[k]);
  for (Peer& peer : peers_)
    if (!peer.done && Clock::now() > peer.heard + options_.silence_limit)
      lose(peer, fmt::format("gave no sign of life for {} seconds: it is stopped, or cut off",
                             options_.silence_limit.count() / 1000));
  return true;
}

void Heartbeat::hear(Peer& peer) {
  std::array<char, kLongest> bytes{};
  while (!peer.done) {
    const ssize_t got = ::recv(peer.connection.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return lose(peer, "has gone: it was killed, or its machine was");
    peer.heard = Clock::now();
    peer.received.append(bytes.data(), std::size_t(got));
    understand(peer);
  }
}

void Heartbeat::understand(Peer& peer) {
  for (;;) {
    Header header{};
    if (peer.done || peer.received.size() < sizeof header) return;
    std::memcpy(&header, peer.received.data(), sizeof header);
    if (header.length > kLongest) return lose(peer, "sent what no rank sends");
    if (peer.received.size() < sizeof header + header.length) return;
    const std::string text = peer.received.substr(sizeof header, header.length);
    peer.received.erase(0, sizeof header + header.length);
    if (header.kind == kBeat) continue;
    peer.done = true;
    if (header.kind == kFailure)
      set_failure(options_.rank == 0 ? fmt::format("rank {}: {}", peer.rank, text) : text, 0,
                  peer.rank);
  }
}

void Heartbeat::lose(Peer& peer, const std::string& how) {
  peer.done = true;
  // Without rank 0 the next one speaks.
  set_failure(fmt::format("rank {} {}", peer.rank, how), peer.rank == 0 ? 1 : 0, peer.rank);
}

void Heartbeat::set_failure(const std::string& what, int teller, int except) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_.emplace(what, teller);
    failed_at_ = Clock::now();
  }
  failed_ = true;
  if (options_.rank == 0) send_to_all(kFailure, what, except);
  if (options_.on_failure) options_.on_failure();
  changed_.notify_all();
}

/// A message is far smaller than what a connection holds, so that it goes at once or the other side
/// has not read for long, and is lost soon.
void Heartbeat::send_to_all(std::uint32_t kind, const std::string& text, int except) {
  const std::string sent = text.substr(0, kLongest);
  const Header header{kind, std::uint32_t(sent.size())};
  std::string message(sizeof header, '\0');
  std::memcpy(message.data(), &header, sizeof header);
  message += sent;
  const std::lock_guard lock(mutex_);
  for (const Peer& peer : peers_)
    if (peer.rank != except)
      ::send(peer.connection.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Heartbeat::throw_failure(int rank) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, options_.silence_limit + kBeatInterval, [&] { return bool(failure_); });
  noticed_ = true;
  if (failure_) throw RankFailure(*failure_);
  throw RankFailure(fmt::format("rank {} closed its connection", rank), 0);
}

bool Heartbeat::tell_failure(const std::string& why) noexcept {
  {
    const std::lock_guard lock(mutex_);
    noticed_ = true;
    if (failure_) return failure_->teller() != options_.rank;
  }
  try {
    send_to_all(kFailure, options_.rank == 0 ? "rank 0: " + why : why, -1);
  } catch (...) {
    return false;  // no memory: the connection that closes says enough
  }
  return options_.rank != 0;
}

void Heartbeat::say_goodbye() {
  send_to_all(kGoodbye, "", -1);
}

}  // namespace unroll
