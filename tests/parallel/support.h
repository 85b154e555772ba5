/// Ranks that are threads of a test.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "host/parallel/communicator.h"

namespace unroll::test {

/// Calls `work` on every rank at once; an exception of it becomes what the others are told. Returns
/// what each threw, empty if nothing.
inline std::vector<std::string> on_ranks(std::vector<std::unique_ptr<Communicator>> ranks,
                                         const std::function<void(Communicator&)>& work) {
  std::vector<std::string> errors(ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank)
    threads.emplace_back([&, rank] {
      try {
        work(*ranks[rank]);
        ranks[rank]->finish();
      } catch (const RankFailure& failure) {
        errors[rank] = failure.what();
      } catch (const std::exception& error) {
        errors[rank] = error.what();
        ranks[rank]->fail(error.what());
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

inline void expect_no_error(const std::vector<std::string>& errors) {
  for (std::size_t rank = 0; rank < errors.size(); ++rank)
    EXPECT_EQ(errors[rank], "") << "rank " << rank;
}

}  // namespace unroll::test
