/// Queue: order and bounds, and its end by close() and fail() in any order and from any thread.
#include "unroll/queue.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/random.h"

namespace unroll::test {
namespace {

std::exception_ptr failure(const std::string& what) {
  return std::make_exception_ptr(std::runtime_error(what));
}

/// What pop() threw; "" if it gave none, "value" if one.
template <typename T>
std::string popped(Queue<T>& queue) {
  try {
    return queue.pop() ? "value" : "";
  } catch (const std::runtime_error& thrown) {
    return thrown.what();
  }
}

/// Long enough for another thread to reach its wait, if it is going to wait. A test passes whatever
/// the time: it only finds less.
void let_others_wait() {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

/// A thread that makes one call, of which others can know that it waits.
class Caller {
 public:
  explicit Caller(std::function<void()> call)
      : thread_([this, call = std::move(call)] {
          id_ = ::gettid();
          call();
        }) {}
  ~Caller() { thread_.join(); }

  /// Returns when the system says that the thread sleeps, which it does in the call only.
  void await_sleep() const {
    while (id_ == 0) std::this_thread::yield();
    const std::string file = "/proc/self/task/" + std::to_string(id_) + "/stat";
    for (std::string stat; stat.find(") S ") == stat.npos; std::this_thread::yield())
      std::getline(std::ifstream(file), stat);
  }

 private:
  std::atomic<::pid_t> id_{0};
  std::thread thread_;
};

TEST(Queue, GivesValuesInOrder) {
  Queue<int> queue(3);
  EXPECT_EQ(queue.capacity(), 3U);
  for (int round = 0; round < 5; ++round) {
    for (int k = 0; k < 3; ++k) EXPECT_TRUE(queue.push(10 * round + k));
    for (int k = 0; k < 3; ++k) EXPECT_EQ(queue.pop(), 10 * round + k);
  }
  EXPECT_THROW(Queue<int>(0), std::invalid_argument);
  EXPECT_THROW(queue.fail(nullptr), std::invalid_argument);
}

TEST(Queue, HoldsNoMoreThanItsCapacity) {
  Queue<int> queue(2);
  std::atomic<int> pushed{0};
  std::thread producer([&] {
    for (int k = 0; k < 10; ++k) {
      queue.push(k);
      ++pushed;
    }
  });
  let_others_wait();
  EXPECT_LE(pushed, 2);
  for (int k = 0; k < 10; ++k) {
    EXPECT_EQ(queue.pop(), k);
    EXPECT_LE(pushed, k + 1 + 2);
  }
  producer.join();
}

TEST(Queue, ClosedWhileFullItKeepsWhatItHas) {
  Queue<int> queue(2);
  queue.push(1);
  queue.push(2);
  bool taken = true;
  std::thread producer([&] { taken = queue.push(3); });
  let_others_wait();
  queue.close();
  producer.join();
  EXPECT_FALSE(taken);
  EXPECT_FALSE(queue.push(4));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_FALSE(queue.push(5));
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(Queue, ClosedWhileEmptyItWakesWhoWaits) {
  Queue<int> queue(2);
  std::vector<std::thread> consumers;
  std::atomic<int> ended{0};
  for (int k = 0; k < 3; ++k)
    consumers.emplace_back([&] { ended += queue.pop() == std::nullopt ? 1 : 0; });
  let_others_wait();
  queue.close();
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(ended, 3);
}

TEST(Queue, AnErrorComesAfterTheValuesAndOnce) {
  const std::vector<std::function<void(Queue<int>&)>> endings{
      [](Queue<int>& q) { q.fail(failure("lost")); },
      [](Queue<int>& q) { q.fail(failure("lost")), q.fail(failure("later")); },
      [](Queue<int>& q) { q.close(), q.fail(failure("lost")); },
      [](Queue<int>& q) { q.fail(failure("lost")), q.close(); },
      [](Queue<int>& q) {
        q.close(), q.fail(failure("lost")), q.fail(failure("later")), q.close();
      }};
  for (const auto& end : endings)
    for (const int values : {0, 1, 2}) {  // empty, neither, full
      Queue<int> queue(2);
      for (int k = 0; k < values; ++k) queue.push(k);
      end(queue);
      EXPECT_FALSE(queue.push(9));
      for (int k = 0; k < values; ++k) EXPECT_EQ(popped(queue), "value");
      EXPECT_EQ(popped(queue), "lost");
      EXPECT_EQ(popped(queue), "");
      queue.fail(failure("too late"));  // the first error was thrown
      EXPECT_EQ(popped(queue), "");
    }
}

TEST(Queue, AnErrorAfterTheEndIsNotLost) {
  Queue<int> queue(1);
  queue.close();
  EXPECT_EQ(popped(queue), "");
  queue.fail(failure("lost"));
  EXPECT_EQ(popped(queue), "lost");
  EXPECT_EQ(popped(queue), "");
}

TEST(Queue, FailedWhileAnotherProducerWaits) {
  Queue<int> queue(1);
  queue.push(1);
  bool taken = true;
  std::thread waiting([&] { taken = queue.push(2); });
  let_others_wait();
  std::thread failing([&] { queue.fail(failure("lost")); });
  failing.join();
  waiting.join();
  EXPECT_FALSE(taken);
  EXPECT_EQ(popped(queue), "value");
  EXPECT_EQ(popped(queue), "lost");
}

TEST(Queue, OpensAgain) {
  Queue<std::shared_ptr<int>> queue(2);
  const auto value = std::make_shared<int>(7);
  queue.push(value);
  queue.fail(failure("lost"));
  queue.reopen();
  EXPECT_EQ(value.use_count(), 1);
  EXPECT_TRUE(queue.push(value));
  EXPECT_EQ(**queue.pop(), 7);
  EXPECT_EQ(value.use_count(), 1);  // the queue keeps nothing of what it gave away
  queue.fail(failure("again"));
  EXPECT_EQ(popped(queue), "again");
}

// A call that waited belongs to the queue that was closed, even if it wakes after the next began.
TEST(Queue, WhoWaitedWhenItClosedIsToldSoAfterItOpensAgain) {
  for (int round = 0; round < 100; ++round) {
    Queue<int> full(1), empty(1);
    full.push(1);
    std::atomic<bool> pushed{true};
    std::atomic<bool> popped{true};
    {
      const Caller producer([&] { pushed = full.push(2); });
      const Caller consumer([&] { popped = empty.pop().has_value(); });
      producer.await_sleep();
      consumer.await_sleep();
      full.close(), full.reopen();
      empty.close(), empty.reopen();
      empty.push(3);  // not for the one that waited
    }
    EXPECT_FALSE(pushed);
    EXPECT_FALSE(popped);
    empty.close(), full.close();  // so that no call waits
    EXPECT_EQ(empty.pop(), 3);
    EXPECT_EQ(full.pop(), std::nullopt);
  }
}

TEST(Queue, MovesValues) {
  Queue<std::unique_ptr<int>> queue(1);
  queue.push(std::make_unique<int>(3));
  EXPECT_EQ(**queue.pop(), 3);
}

// Every value that push() took comes out once, in the order of its producer; every end is seen.
TEST(Queue, ManyThreadsLoseNothing) {
  constexpr int kProducers = 4, kConsumers = 3, kValues = 500;
  for (int round = 0; round < 20; ++round) {
    Random random(std::uint64_t(round) + 1);
    Queue<std::pair<int, int>> queue(std::size_t(random.integer(1, 5)));
    const int stop_after = random.integer(0, 2 * kProducers * kValues);
    std::atomic<int> pushed{0}, refused{0}, errors{0}, taken{0};
    std::vector<std::vector<std::pair<int, int>>> got(kConsumers);
    std::vector<std::thread> threads;
    for (int p = 0; p < kProducers; ++p)
      threads.emplace_back([&, p] {
        for (int k = 0; k < kValues; ++k) {
          if (!queue.push({p, k})) {
            ++refused;
            return;
          }
          if (++pushed == stop_after) round % 2 == 0 ? queue.close() : queue.fail(failure("stop"));
        }
      });
    for (int c = 0; c < kConsumers; ++c)
      threads.emplace_back([&, c] {
        for (;;) {
          try {
            const auto value = queue.pop();
            if (!value) return;
            got[std::size_t(c)].push_back(*value);
            ++taken;
          } catch (const std::runtime_error&) {
            ++errors;
          }
        }
      });
    for (int p = 0; p < kProducers; ++p) threads[std::size_t(p)].join();
    queue.close();
    for (std::size_t c = kProducers; c < threads.size(); ++c) threads[c].join();
    EXPECT_EQ(taken, pushed);
    const bool stopped = stop_after > 0 && stop_after <= pushed;
    EXPECT_EQ(errors, stopped && round % 2 == 1 ? 1 : 0);
    if (!stopped) {
      EXPECT_EQ(pushed, kProducers * kValues);
    }
    for (const auto& values : got) {
      std::vector<int> last(kProducers, -1);
      for (const auto& [producer, k] : values) {
        EXPECT_GT(k, last[std::size_t(producer)]);
        last[std::size_t(producer)] = k;
      }
    }
  }
}

}  // namespace
}  // namespace unroll::test
