#include "host/data/batch_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "host/data/batches.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

Ids tokens(std::int32_t n) {
  Ids ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

/// Reads `queue` to its end and compares it with what the stream itself gives from there.
void expect_rest(BatchQueue& queue, BatchStream stream, std::int64_t position) {
  stream.set_position(position);
  Ids x(static_cast<std::size_t>(stream.room())), y(x.size());
  while (const std::int64_t steps = stream.next(x, y)) {
    const Batch* batch = queue.next();
    ASSERT_NE(batch, nullptr);
    const Column &inputs = batch->columns.at(0), &targets = batch->columns.at(1);
    EXPECT_EQ(inputs.shape, (Shape{steps, stream.streams()}));
    EXPECT_EQ(targets.shape, (Shape{steps * stream.streams()}));
    EXPECT_EQ(batch->position_after, stream.position());
    const auto size = std::ptrdiff_t(steps * stream.streams());
    EXPECT_EQ(Ids(inputs.ids.begin(), inputs.ids.begin() + size), Ids(x.begin(), x.begin() + size));
    EXPECT_EQ(Ids(targets.ids.begin(), targets.ids.begin() + size),
              Ids(y.begin(), y.begin() + size));
    EXPECT_EQ(batch->count, size - std::count(y.begin(), y.begin() + size, kIgnoredId));
  }
  EXPECT_EQ(queue.next(), nullptr);
  EXPECT_EQ(queue.next(), nullptr);
}

TEST(BatchQueue, GivesWhatTheStreamGives) {
  const Ids text = tokens(1001);
  BatchStream stream(text, {.streams = 4, .steps = 7});
  const BatchStream fresh = stream;
  BatchQueue queue(stream);
  EXPECT_EQ(queue.batches(), fresh.batches());
  expect_rest(queue, fresh, 0);
  queue.seek(1, 0);
  expect_rest(queue, fresh, 0);
}

TEST(BatchQueue, SeeksFromAnywhere) {
  const Ids text = tokens(1001);
  BatchStream stream(text, {.streams = 4, .steps = 7});
  const BatchStream fresh = stream;
  BatchQueue queue(stream);
  for (const std::int64_t position : {0, 70, 13, 251, 7}) {
    for (int k = 0; k < 5; ++k) queue.next();
    queue.seek(1, position);
    if (position == 13) continue;  // again at once
    expect_rest(queue, fresh, position);
  }
  EXPECT_THROW(queue.seek(1, -1), std::invalid_argument);
  EXPECT_THROW(queue.seek(0, 0), std::invalid_argument);
  EXPECT_THROW(queue.seek(1, fresh.length() + 1), std::invalid_argument);
  queue.seek(2, 0);
  expect_rest(queue, fresh, 0);
}

TEST(BatchQueue, StopsAtAnyTime) {
  const Ids text = tokens(100'000);
  BatchStream stream(text, {.streams = 4, .steps = 7});
  for (int k = 0; k < 200; ++k) {
    BatchQueue queue(stream);
    for (int taken = 0; taken < k % 9; ++taken) queue.next();
  }
}

TEST(BatchQueue, ABatchStaysWhileItIsInUse) {
  const Ids text = tokens(10'000);
  BatchStream stream(text, {.streams = 1, .steps = 10});
  BatchQueue queue(stream);
  queue.next();
  const Batch* batch = queue.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the reader fills all it may
  EXPECT_EQ(batch->columns.at(1).ids.front(), 10);
  EXPECT_EQ(batch->columns.at(1).ids.back(), 19);
  EXPECT_EQ(batch->position_after, 20);
}

TEST(BatchQueue, ErrorsOfTheReaderReachTheCaller) {
  Ids text = tokens(100);
  text[57] = 100;
  BatchStream stream(text, {.streams = 1, .steps = 10, .vocabulary = 100, .name = "x.tokens"});
  BatchQueue queue(stream);
  for (int k = 0; k < 5; ++k) ASSERT_NE(queue.next(), nullptr);
  for (int k = 0; k < 2; ++k) {
    try {
      queue.next();
      FAIL() << "an id outside of the vocabulary";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "x.tokens: damaged: token 57 is 100, expected one in [0, 100)");
    }
  }
  queue.seek(1, 0);
  EXPECT_EQ(queue.next()->columns.at(1).ids.front(), 0);
}

}  // namespace
}  // namespace unroll::test
