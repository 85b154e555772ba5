#include "host/data/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kEosId = 1000;

std::vector<std::int32_t> tokens(std::int64_t n) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(BatchStream, LaysOutSevenTokensInThreeStreams) {
  const auto text = tokens(7);
  BatchStream stream(text, {.streams = 3, .steps = 2, .start = kEosId});
  EXPECT_EQ(stream.batches(), 2);
  EXPECT_EQ(stream.length(), 3);
  std::vector<std::int32_t> x(6), y(6);
  EXPECT_EQ(stream.next(x, y), 2);
  EXPECT_EQ(x, (Ids{kEosId, 2, 4, 0, 3, 5}));
  EXPECT_EQ(y, (Ids{0, 3, 5, 1, 4, 6}));
  EXPECT_EQ(stream.next(x, y), 1);
  EXPECT_EQ(std::vector(x.begin(), x.begin() + 3), (Ids{1, kEosId, kEosId}));
  EXPECT_EQ(std::vector(y.begin(), y.begin() + 3), (Ids{2, kIgnoredId, kIgnoredId}));
  EXPECT_EQ(stream.next(x, y), 0);
  EXPECT_EQ(stream.next(x, y), 0);
}

// For every size: reading the streams one after the other gives the text, each token once and in
// order; each input is the token before; padding is where it is promised and nowhere else.
TEST(BatchStream, EveryTokenIsATargetOnceInOrder) {
  for (std::int64_t n = 1; n <= 24; ++n)
    for (std::int64_t streams = 1; streams <= n; ++streams)
      for (const std::int64_t steps : {1, 2, 3, 5, 24, 100}) {
        SCOPED_TRACE(::testing::Message() << "n=" << n << " N=" << streams << " T=" << steps);
        const auto text = tokens(n);
        BatchStream stream(text, {.streams = streams, .steps = steps, .start = kEosId});
        const auto room = static_cast<std::size_t>(streams * steps);
        std::vector<std::int32_t> x(room), y(room);
        std::vector<std::vector<std::int32_t>> inputs(static_cast<std::size_t>(streams)),
            targets(inputs.size());
        std::int64_t batches = 0;
        while (const std::int64_t got = stream.next(x, y)) {
          ++batches;
          ASSERT_TRUE(got == steps || batches == stream.batches());
          for (std::size_t k = 0; k < static_cast<std::size_t>(got * streams); ++k) {
            inputs[k % inputs.size()].push_back(x[k]);
            targets[k % inputs.size()].push_back(y[k]);
          }
        }
        EXPECT_EQ(batches, stream.batches());
        EXPECT_EQ(stream.position(), stream.length());

        std::int32_t expected = 0;
        std::size_t shortest = targets[0].size(), longest = 0;
        for (std::size_t s = 0; s < targets.size(); ++s) {
          ASSERT_EQ(static_cast<std::int64_t>(targets[s].size()), stream.length());
          std::size_t real = targets[s].size();
          if (targets[s].back() == kIgnoredId) {
            EXPECT_EQ(inputs[s].back(), kEosId);
            --real;
          }
          for (std::size_t t = 0; t < real; ++t, ++expected) {
            EXPECT_EQ(targets[s][t], expected);
            EXPECT_EQ(inputs[s][t], expected == 0 ? kEosId : expected - 1);
          }
          EXPECT_LE(real, shortest);  // longer streams come first
          shortest = std::min(shortest, real);
          longest = std::max(longest, real);
        }
        EXPECT_EQ(expected, n);
        EXPECT_LE(longest - shortest, 1U);
      }
}

TEST(BatchStream, ResumesAndRewinds) {
  const auto text = tokens(101);
  const BatchStream::Options options{.streams = 4, .steps = 5, .start = kEosId};
  BatchStream stream(text, options);
  std::vector<std::int32_t> x(20), y(20), x2(20), y2(20);
  stream.next(x, y);
  stream.next(x, y);
  EXPECT_EQ(stream.position(), 10);

  BatchStream resumed(text, options);
  resumed.set_position(stream.position());
  while (const std::int64_t got = stream.next(x, y)) {
    EXPECT_EQ(resumed.next(x2, y2), got);
    EXPECT_EQ(x2, x);
    EXPECT_EQ(y2, y);
  }
  EXPECT_EQ(resumed.next(x2, y2), 0);
  resumed.rewind();
  EXPECT_EQ(resumed.next(x2, y2), 5);
  EXPECT_EQ(y2[0], 0);
  EXPECT_THROW(resumed.set_position(-1), std::invalid_argument);
  EXPECT_THROW(resumed.set_position(resumed.length() + 1), std::invalid_argument);
  resumed.set_position(resumed.length());
  EXPECT_EQ(resumed.next(x2, y2), 0);
}

TEST(BatchStream, TakesTheWholeTextInOneBatch) {
  const auto text = tokens(5);
  BatchStream stream(
      text, {.streams = 2, .steps = std::numeric_limits<std::int64_t>::max(), .start = kEosId});
  EXPECT_EQ(stream.batches(), 1);
  std::vector<std::int32_t> x(6), y(6);
  EXPECT_EQ(stream.next(x, y), 3);
}

TEST(BatchStream, RejectsWhatDoesNotFit) {
  const auto text = tokens(5);
  EXPECT_THROW(BatchStream(text, {.streams = 0, .steps = 1}), std::invalid_argument);
  EXPECT_THROW(BatchStream(text, {.streams = 1, .steps = 0}), std::invalid_argument);
  EXPECT_THROW(BatchStream({}, {.streams = 1, .steps = 1}), std::invalid_argument);
  try {
    BatchStream(text, {.streams = 6, .steps = 1});
    FAIL() << "six streams of five tokens";
  } catch (const std::invalid_argument& error) {
    EXPECT_TRUE(contains(error.what(), "at most 5 streams"));
  }
  BatchStream stream(text, {.streams = 2, .steps = 2});
  std::vector<std::int32_t> four(4), three(3);
  EXPECT_THROW(stream.next(four, three), std::invalid_argument);
  EXPECT_THROW(stream.next(three, four), std::invalid_argument);
  EXPECT_EQ(stream.position(), 0);
  EXPECT_EQ(stream.next(four, four), 2);
}

TEST(BatchStream, TakesAPieceOfEachStreamsShare) {
  const auto text = tokens(23);  // 2 shares of 11, and one token that is not used
  BatchStream stream(text, {.streams = 2, .steps = 2, .start = kEosId, .first = 3, .count = 4});
  EXPECT_EQ(stream.batches(), 2);
  std::vector<std::int32_t> x(4), y(4);
  EXPECT_EQ(stream.next(x, y), 2);
  EXPECT_EQ(x, (Ids{2, 13, 3, 14}));
  EXPECT_EQ(y, (Ids{3, 14, 4, 15}));
  EXPECT_EQ(stream.next(x, y), 2);
  EXPECT_EQ(y, (Ids{5, 16, 6, 17}));
  EXPECT_EQ(stream.next(x, y), 0);
  BatchStream whole(text, {.streams = 2, .steps = 99, .start = kEosId, .count = 11});
  std::vector<std::int32_t> x2(22), y2(22);
  EXPECT_EQ(whole.next(x2, y2), 11);
  EXPECT_EQ(x2[0], kEosId);
  EXPECT_EQ(x2[1], 10);
  EXPECT_EQ(std::count(y2.begin(), y2.end(), kIgnoredId), 0);
  const auto piece = [&](std::int64_t first, std::int64_t count) {
    return BatchStream(text, {.streams = 2, .first = first, .count = count});
  };
  EXPECT_THROW(piece(8, 4), std::invalid_argument);
  EXPECT_THROW(piece(-1, 4), std::invalid_argument);
  EXPECT_THROW(piece(3, 0), std::invalid_argument);
}

TEST(BatchStream, RefusesIdsOutsideOfTheVocabulary) {
  for (const std::int32_t bad : {-1, 5}) {
    const std::vector<std::int32_t> text = {0, 4, bad};
    BatchStream stream(text, {.steps = 3, .vocabulary = 5, .name = "x.tokens"});
    std::vector<std::int32_t> x(3), y(3);
    EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { stream.next(x, y); }),
                         "x.tokens: damaged: token 2 is " + std::to_string(bad)));
  }
}

}  // namespace
}  // namespace unroll::test
