#include "host/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/resource_limit.h"

namespace unroll::host {
namespace {

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, EveryThreadRunsOnceAndThreadZeroIsTheCaller) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.size(), GetParam());
  std::vector<int> calls(index(pool.size()));  // plain: run() must make the writes visible
  std::vector<std::thread::id> ids(calls.size());
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round)
    pool.run([&](int thread) {
      ++calls[index(thread)];
      ids[index(thread)] = std::this_thread::get_id();
    });
  for (const int count : calls) EXPECT_EQ(count, kRounds);
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  for (std::size_t t = 1; t < ids.size(); ++t) EXPECT_NE(ids[t], ids[0]);
}

// Each thread reads what its neighbour wrote before the barrier. A second barrier keeps the
// neighbour from overwriting it.
TEST_P(ThreadPoolTest, BarrierSeparatesSteps) {
  ThreadPool pool(GetParam());
  std::vector<int> step_of(index(pool.size()), -1);
  std::atomic<int> wrong{0};
  pool.run([&](int thread) {
    for (int step = 0; step < 500; ++step) {
      step_of[index(thread)] = step;
      pool.barrier();
      if (step_of[index((thread + 1) % pool.size())] != step) ++wrong;
      pool.barrier();
    }
  });
  EXPECT_EQ(wrong, 0);
}

// Waits that are longer than the spinning: barriers, idle workers and the caller go to sleep.
TEST_P(ThreadPoolTest, SlowThreadsAreWaitedFor) {
  ThreadPool pool(GetParam());
  std::vector<int> value(index(pool.size()));
  for (int slow = 0; slow < pool.size(); ++slow) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.run([&](int thread) {
      const auto nap = [&] {
        if (thread == slow) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      };
      nap();
      value[index(thread)] = slow;
      pool.barrier();
      EXPECT_EQ(value[index(slow)], slow);
      nap();
    });
    for (const int v : value) EXPECT_EQ(v, slow);
  }
}

TEST_P(ThreadPoolTest, ParallelForCoversTheRangeOnce) {
  ThreadPool pool(GetParam());
  for (const std::int64_t count : {0, 1, 2, 7, 64, 1000})
    for (const std::int64_t grain : {1, 3, 64, 5000}) {
      std::vector<int> touched(index(count));
      pool.parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
        EXPECT_EQ(begin % grain, 0);
        EXPECT_LT(begin, end);
        for (std::int64_t i = begin; i < end; ++i) ++touched[index(i)];
      });
      for (const int t : touched) EXPECT_EQ(t, 1);
    }
}

TEST_P(ThreadPoolTest, ExceptionOfTheLowestThreadReachesTheCaller) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round)
    for (int first = 0; first < pool.size(); ++first) {
      std::atomic<int> finished{0};
      try {
        pool.run([&](int thread) {
          if (thread >= first) throw std::runtime_error(std::to_string(thread));
          ++finished;
        });
        ADD_FAILURE() << "no exception";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), std::to_string(first));
      }
      EXPECT_EQ(finished, first);
    }
  int calls = 0;
  pool.run([&](int thread) {  // the pool works as before
    if (thread == 0) ++calls;
  });
  EXPECT_EQ(calls, 1);
}

// More threads than cores, all of them in barriers: slow if waiting threads use up their time
// slices.
TEST_P(ThreadPoolTest, SurvivesOversubscription) {
  std::vector<std::thread> drivers;
  drivers.reserve(3);
  for (int i = 0; i < 3; ++i)
    drivers.emplace_back([] {
      ThreadPool pool(GetParam());
      std::int64_t sum = 0;
      for (int round = 0; round < 20; ++round)
        pool.run([&](int thread) {
          for (int step = 0; step < 10; ++step) pool.barrier();
          if (thread == 0) ++sum;
        });
      EXPECT_EQ(sum, 20);
    });
  for (std::thread& driver : drivers) driver.join();
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadPoolTest, ::testing::Values(1, 2, 3, 7));

TEST(ThreadPool, RejectsNoThreads) {
  EXPECT_THROW(ThreadPool(0), std::invalid_argument);
}

TEST(ThreadPool, SaysHowManyThreadsTheSystemStarted) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory is above any limit of addresses";
#endif
  std::string error;
  {
    const test::ResourceLimit small(RLIMIT_AS, rlim_t{2} << 30);  // room for some stacks of 8 MiB
    try {
      const ThreadPool pool(4000);
    } catch (const std::runtime_error& e) {
      error = e.what();
    }
  }
  EXPECT_TRUE(error.ends_with("from the system (Resource temporarily unavailable), expected 4000"))
      << error;
}

TEST(ThreadPool, SplitRangeIsContiguousAndEven) {
  for (const std::int64_t count : {0, 1, 5, 16, 17, 100})
    for (const std::int64_t grain : {1, 4, 16})
      for (const int parts : {1, 2, 3, 7}) {
        std::int64_t expected_begin = 0, smallest = INT64_MAX, largest = 0;
        for (int part = 0; part < parts; ++part) {
          const Range r = split_range(count, grain, part, parts);
          EXPECT_EQ(r.begin, expected_begin);
          EXPECT_TRUE(r.begin % grain == 0 || r.begin == count);
          expected_begin = r.end;
          const std::int64_t units = (r.end - r.begin + grain - 1) / grain;
          smallest = std::min(smallest, units);
          largest = std::max(largest, units);
        }
        EXPECT_EQ(expected_begin, count);
        EXPECT_LE(largest - smallest, 1);
      }
}

}  // namespace
}  // namespace unroll::host
