#include "host/data/batch_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

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
    EXPECT_EQ(batch->steps, steps);
    EXPECT_EQ(batch->position_after, stream.position());
    const auto size = std::ptrdiff_t(steps * stream.streams());
    EXPECT_EQ(Ids(batch->inputs.begin(), batch->inputs.end()), Ids(x.begin(), x.begin() + size));
    EXPECT_EQ(Ids(batch->targets.begin(), batch->targets.end()), Ids(y.begin(), y.begin() + size));
    EXPECT_EQ(batch->tokens, size - std::count(y.begin(), y.begin() + size, kIgnoredId));
  }
  EXPECT_EQ(queue.next(), nullptr);
  EXPECT_EQ(queue.next(), nullptr);
}

TEST(BatchQueue, GivesWhatTheStreamGives) {
  const Ids text = tokens(1001);
  const BatchStream stream(text, {.streams = 4, .steps = 7});
  BatchQueue queue(stream);
  EXPECT_EQ(queue.batches(), stream.batches());
  expect_rest(queue, stream, 0);
  queue.rewind();
  expect_rest(queue, stream, 0);
}

TEST(BatchQueue, SeeksFromAnywhere) {
  const Ids text = tokens(1001);
  const BatchStream stream(text, {.streams = 4, .steps = 7});
  BatchQueue queue(stream);
  for (const std::int64_t position : {0, 70, 13, 251, 7}) {
    for (int k = 0; k < 5; ++k) queue.next();
    queue.seek(position);
    if (position == 13) continue;  // again at once
    expect_rest(queue, stream, position);
  }
  EXPECT_THROW(queue.seek(-1), std::invalid_argument);
  EXPECT_THROW(queue.seek(stream.length() + 1), std::invalid_argument);
  queue.seek(stream.position());
  expect_rest(queue, stream, 0);
}

TEST(BatchQueue, StopsAtAnyTime) {
  const Ids text = tokens(100'000);
  const BatchStream stream(text, {.streams = 4, .steps = 7});
  for (int k = 0; k < 200; ++k) {
    BatchQueue queue(stream);
    for (int taken = 0; taken < k % 9; ++taken) queue.next();
  }
}

TEST(BatchQueue, ABatchStaysWhileItIsInUse) {
  const Ids text = tokens(10'000);
  BatchQueue queue(BatchStream(text, {.streams = 1, .steps = 10}));
  queue.next();
  const Batch* batch = queue.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the reader fills all it may
  EXPECT_EQ(batch->targets.front(), 10);
  EXPECT_EQ(batch->targets.back(), 19);
  EXPECT_EQ(batch->position_after, 20);
}

TEST(BatchQueue, ErrorsOfTheReaderReachTheCaller) {
  Ids text = tokens(100);
  text[57] = 100;
  BatchQueue queue(
      BatchStream(text, {.streams = 1, .steps = 10, .vocabulary = 100, .name = "x.tokens"}));
  for (int k = 0; k < 5; ++k) ASSERT_NE(queue.next(), nullptr);
  for (int k = 0; k < 2; ++k) {
    try {
      queue.next();
      FAIL() << "an id outside of the vocabulary";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "x.tokens: damaged: token 57 is 100, expected one in [0, 100)");
    }
  }
  queue.rewind();
  EXPECT_EQ(queue.next()->targets.front(), 0);
}

}  // namespace
}  // namespace unroll::test
