#include "host/parallel/communicator.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace unroll {
namespace {

std::span<const std::byte> bytes_of_text(const std::string& text) {
  return std::as_bytes(std::span(text));
}

template <typename T>
std::span<std::byte> bytes_of_value(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace

void Communicator::barrier() {
  gather("");
  broadcast("");
}

void Communicator::broadcast(std::span<std::byte> bytes) {
  if (!leads()) {
    const Incoming in{0, bytes};
    return exchange({}, {&in, 1});
  }
  std::vector<Outgoing> out;
  for (int to = 1; to < size(); ++to) out.push_back({to, bytes});
  exchange(out, {});
}

std::string Communicator::broadcast(const std::string& text) {
  auto length = std::uint64_t(text.size());
  broadcast(bytes_of_value(length));
  std::string result = text;
  result.resize(length);
  broadcast(std::as_writable_bytes(std::span(result)));
  return result;
}

std::vector<std::string> Communicator::gather(const std::string& text) {
  auto length = std::uint64_t(text.size());
  if (!leads()) {
    const Outgoing out[] = {{0, bytes_of_value(length)}, {0, bytes_of_text(text)}};
    exchange(out, {});
    return {};
  }
  std::vector<std::uint64_t> lengths(std::size_t(size()), length);
  std::vector<Incoming> in;
  for (int from = 1; from < size(); ++from)
    in.push_back({from, bytes_of_value(lengths[std::size_t(from)])});
  exchange({}, in);
  std::vector<std::string> texts = {text};
  for (int from = 1; from < size(); ++from) texts.emplace_back(lengths[std::size_t(from)], '\0');
  for (int from = 1; from < size(); ++from)
    in[std::size_t(from - 1)].bytes = std::as_writable_bytes(std::span(texts[std::size_t(from)]));
  exchange({}, in);
  return texts;
}

bool Communicator::any(bool here) {
  bool found = false;
  for (const std::string& there : gather(here ? "1" : "")) found = found || !there.empty();
  return !broadcast(found ? "1" : "").empty();
}

namespace {

/// What threads of one process share.
struct Hub {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> messages;  // by (from, to)
  std::string failure;
  int failed = -1;  // the rank
};

class InProcess final : public Communicator {
 public:
  InProcess(std::shared_ptr<Hub> hub, int rank, int size)
      : hub_(std::move(hub)), rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) override {
    std::unique_lock lock(hub_->mutex);
    for (const Outgoing& message : out)
      hub_->messages[{rank_, message.to}].emplace_back(message.bytes.begin(), message.bytes.end());
    hub_->changed.notify_all();
    for (const Incoming& message : in) {
      auto& queue = hub_->messages[{message.from, rank_}];
      hub_->changed.wait(lock, [&] { return hub_->failed >= 0 || !queue.empty(); });
      if (hub_->failed >= 0)
        throw RankFailure("rank " + std::to_string(hub_->failed) + ": " + hub_->failure, 0);
      if (queue.front().size() != message.bytes.size())
        throw std::logic_error("exchange: got " + std::to_string(queue.front().size()) +
                               " bytes from rank " + std::to_string(message.from) + ", expected " +
                               std::to_string(message.bytes.size()));
      if (!message.bytes.empty())
        std::memcpy(message.bytes.data(), queue.front().data(), message.bytes.size());
      queue.pop_front();
    }
  }

  bool fail(const std::string& why) noexcept override {
    const std::lock_guard lock(hub_->mutex);
    if (hub_->failed < 0) {
      hub_->failed = rank_;
      hub_->failure = why;
    }
    hub_->changed.notify_all();
    return rank_ != 0;
  }

  /// Threads of one process wait for nothing else.
  void on_failure(std::function<void()>) override {}

  void finish() override { barrier(); }

 private:
  std::shared_ptr<Hub> hub_;
  int rank_, size_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> ranks_in_process(int size) {
  const auto hub = std::make_shared<Hub>();
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int rank = 0; rank < size; ++rank)
    ranks.push_back(std::make_unique<InProcess>(hub, rank, size));
  return ranks;
}

}  // namespace unroll
