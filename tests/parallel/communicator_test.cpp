/// The same of ranks in threads and of ranks that TCP joins.
#include "host/parallel/communicator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <numeric>
#include <thread>

#include "host/parallel/tcp_communicator.h"
#include "host/parallel/tcp_start.h"
#include "tests/parallel/support.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using std::chrono::milliseconds;
using Ranks = std::vector<std::unique_ptr<Communicator>>;

TcpRanks tcp_rank(int rank, int ranks, int port) {
  TcpRanks options;
  options.rank = rank;
  options.ranks = ranks;
  options.first = {"127.0.0.1", port};
  return options;
}

Ranks ranks_by_tcp(int count, bool share_memory = true) {
  Descriptor listener = listen_at({"127.0.0.1", 0});
  const int port = port_of(listener.get());
  Ranks ranks(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&, rank] {
      TcpRanks options = tcp_rank(rank, count, port);
      options.share_memory = share_memory;
      if (rank == 0) options.listener.emplace(std::move(listener));
      ranks[std::size_t(rank)] = connect_ranks(std::move(options));
    });
  for (std::thread& thread : threads) thread.join();
  return ranks;
}

class CommunicatorOf : public ::testing::TestWithParam<std::string> {
 protected:
  static Ranks ranks(int count) {
    return GetParam() == "Threads" ? ranks_in_process(count)
                                   : ranks_by_tcp(count, GetParam() == "SharedMemory");
  }
};

void require_that(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

TEST_P(CommunicatorOf, TellsTextsToAllAndToTheFirst) {
  expect_no_error(on_ranks(ranks(4), [](Communicator& c) {
    for (int round = 0; round < 20; ++round) {
      const std::string all = c.broadcast(c.leads() ? std::string(std::size_t(round), 'x') : "no");
      require_that(all == std::string(std::size_t(round), 'x'), "broadcast");
      const auto texts = c.gather(std::string(std::size_t(c.rank()), 'y'));
      if (c.leads())
        require_that(texts == std::vector<std::string>{"", "y", "yy", "yyy"}, "gather");
      else
        require_that(texts.empty(), "gather elsewhere");
      require_that(c.any(c.rank() == round % 5) == (round % 5 < 4), "any");
      c.barrier();
    }
  }));
}

// Far more bytes than connections hold, in both directions at once.
TEST_P(CommunicatorOf, ExchangesManyBytesBothWays) {
  constexpr std::size_t kSize = 3 << 20;
  expect_no_error(on_ranks(ranks(3), [](Communicator& c) {
    std::vector<std::vector<int>> out(3), in(3, std::vector<int>(kSize));
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int other = 0; other < 3; ++other) {
      if (other == c.rank()) continue;
      auto& values = out[std::size_t(other)];
      values.resize(kSize);
      std::iota(values.begin(), values.end(), 1000 * c.rank() + other);
      // In two messages that the other side takes as two of other sizes would be an error.
      outgoing.push_back({other, std::as_bytes(std::span(values).first(5))});
      outgoing.push_back({other, std::as_bytes(std::span(values).subspan(5))});
      auto& got = in[std::size_t(other)];
      incoming.push_back({other, std::as_writable_bytes(std::span(got).first(5))});
      incoming.push_back({other, std::as_writable_bytes(std::span(got).subspan(5))});
    }
    c.exchange(outgoing, incoming);
    for (int other = 0; other < 3; ++other) {
      if (other == c.rank()) continue;
      std::vector<int> expected(kSize);
      std::iota(expected.begin(), expected.end(), 1000 * other + c.rank());
      require_that(in[std::size_t(other)] == expected, "other values");
    }
  }));
}

TEST_P(CommunicatorOf, AFailureEndsTheWaitOfAllWithItsLine) {
  const std::vector<std::string> errors = on_ranks(ranks(4), [](Communicator& c) {
    if (c.rank() == 2) throw std::runtime_error("the text is damaged");
    c.barrier();
  });
  EXPECT_EQ(errors[2], "the text is damaged");
  for (const std::size_t rank : {0, 1, 3}) EXPECT_EQ(errors[rank], "rank 2: the text is damaged");
}

TEST_P(CommunicatorOf, AFailureOfTheFirstDoesToo) {
  const std::vector<std::string> errors = on_ranks(ranks(3), [](Communicator& c) {
    if (c.leads()) throw std::runtime_error("no room");
    c.barrier();
  });
  EXPECT_EQ(errors[0], "no room");
  for (const std::size_t rank : {1, 2}) EXPECT_EQ(errors[rank], "rank 0: no room");
}

INSTANTIATE_TEST_SUITE_P(Ranks, CommunicatorOf, ::testing::Values("Threads", "Tcp", "SharedMemory"),
                         [](const auto& info) { return info.param; });

/// What each rank's exception says if rank `gone` goes without a word.
std::vector<std::string> after_loss_of(int gone, int count) {
  Ranks ranks = ranks_by_tcp(count);
  std::vector<std::string> errors(ranks.size());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    if (rank == gone) continue;
    threads.emplace_back([&, rank] {
      errors[std::size_t(rank)] =
          error_of<RankFailure>([&] { ranks[std::size_t(rank)]->barrier(); });
    });
  }
  std::this_thread::sleep_for(milliseconds(50));
  ranks[std::size_t(gone)].reset();  // as the system closes the connections of a killed process
  for (std::thread& thread : threads) thread.join();
  return errors;
}

TEST(TcpCommunicator, ARankThatIsGoneEndsTheWaitOfAllOthers) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> last = after_loss_of(3, 4);
  for (const std::size_t rank : {0, 1, 2})
    EXPECT_TRUE(contains(last[rank], "rank 3 has gone")) << last[rank];
  const std::vector<std::string> first = after_loss_of(0, 3);
  for (const std::size_t rank : {1, 2})
    EXPECT_TRUE(contains(first[rank], "rank 0 has gone")) << first[rank];
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
}

TEST(TcpCommunicator, AFailureEndsWhatOthersWaitFor) {
  Ranks ranks = ranks_by_tcp(2);
  std::promise<void> told;
  ranks[0]->on_failure([&] { told.set_value(); });
  ranks[1].reset();
  EXPECT_EQ(told.get_future().wait_for(std::chrono::seconds(8)), std::future_status::ready);
  bool at_once = false;
  ranks[0]->on_failure([&] { at_once = true; });
  EXPECT_TRUE(at_once);
}

/// A process whose connections stay open and silent, as those of one that is stopped.
TEST(TcpCommunicator, SilenceEndsTheWait) {
  Descriptor listener = listen_at({"127.0.0.1", 0});
  const int port = port_of(listener.get());
  std::unique_ptr<Communicator> first;
  std::string said;
  std::thread thread([&] {
    TcpRanks options = tcp_rank(0, 2, port);
    options.listener.emplace(std::move(listener));
    options.silence_limit = milliseconds(1500);
    first = connect_ranks(std::move(options));
    said = error_of<RankFailure>([&] { first->barrier(); });
  });
  TcpRanks options = tcp_rank(1, 2, port);
  TcpConnections silent = find_ranks(options);
  thread.join();
  EXPECT_TRUE(contains(said, "rank 1 gave no sign of life")) << said;
}

TEST(TcpCommunicator, ASlowRankIsWaitedFor) {
  Ranks ranks = ranks_by_tcp(2);
  expect_no_error(on_ranks(std::move(ranks), [](Communicator& c) {
    if (!c.leads()) std::this_thread::sleep_for(milliseconds(2500));
    c.barrier();
  }));
}

TEST(TcpCommunicator, RanksThatDoNotComeAreNamed) {
  TcpRanks options = tcp_rank(0, 3, 0);
  options.listener.emplace(listen_at({"127.0.0.1", 0}));
  options.start_limit = milliseconds(300);
  const std::string error =
      error_of<std::runtime_error>([&] { connect_ranks(std::move(options)); });
  EXPECT_TRUE(contains(error, "ranks: 1, 2 did not come to 127.0.0.1:")) << error;

  TcpRanks alone = tcp_rank(1, 2, 1);
  alone.start_limit = milliseconds(300);
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { connect_ranks(std::move(alone)); }),
                       "127.0.0.1:1: cannot be reached: Connection refused"));
}

// Another run's rank, a program that is no rank, and one that says nothing: the start goes on.
TEST(TcpCommunicator, StrangersAreTurnedAway) {
  Descriptor listener = listen_at({"127.0.0.1", 0});
  const int port = port_of(listener.get());
  const auto soon = [] { return std::chrono::steady_clock::now() + std::chrono::seconds(5); };
  const Descriptor mute = connect_to({"127.0.0.1", port}, soon());
  const Descriptor other = connect_to({"127.0.0.1", port}, soon());
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
  ASSERT_TRUE(send_all(other.get(), std::as_bytes(std::span(request)), soon()));
  std::string refused;
  std::thread of_another_run([&] {
    refused = error_of<std::runtime_error>([&] { connect_ranks(tcp_rank(1, 5, port)); });
  });
  std::vector<std::thread> threads;
  Ranks ranks(2);
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      if (rank == 1) of_another_run.join();
      TcpRanks options = tcp_rank(rank, 2, port);
      if (rank == 0) options.listener.emplace(std::move(listener));
      ranks[std::size_t(rank)] = connect_ranks(std::move(options));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(contains(refused, "rank 1 of 5: rank 0 at 127.0.0.1")) << refused;
  expect_no_error(on_ranks(std::move(ranks), [](Communicator& c) { c.barrier(); }));
}

}  // namespace
}  // namespace unroll::test
