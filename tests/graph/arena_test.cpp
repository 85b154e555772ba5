/// Placing buffers in one block, against a drawing of the block: a square for each 256 bytes at
/// each step.
#include "host/graph/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/random.h"

namespace unroll::test {
namespace {

std::size_t squares(std::size_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment;
}

/// Largest first, equal ones in order, each as low as there is room throughout its life.
class Drawing {
 public:
  explicit Drawing(const std::vector<Lifetime>& buffers) {
    std::vector<std::size_t> order;
    for (std::size_t k = 0; k < buffers.size(); ++k) order.push_back(k);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return buffers[a].bytes > buffers[b].bytes;
    });
    std::size_t height = 0;
    std::int64_t steps = 0;
    for (const Lifetime& buffer : buffers) {
      height += squares(buffer.bytes);
      steps = std::max(steps, buffer.last + 1);
    }
    taken_.assign(std::size_t(steps), std::vector<bool>(height, false));
    layout.offsets.resize(buffers.size());
    for (const std::size_t k : order) {
      std::size_t at = 0;
      while (const std::size_t above = above_taken(buffers[k], at)) at = above;
      for (std::int64_t step = buffers[k].first; step <= buffers[k].last; ++step)
        for (std::size_t s = 0; s < squares(buffers[k].bytes); ++s)
          taken_[std::size_t(step)][at + s] = true;
      layout.offsets[k] = at * kArenaAlignment;
      layout.bytes = std::max(layout.bytes, (at + squares(buffers[k].bytes)) * kArenaAlignment);
    }
  }

  ArenaLayout layout;

 private:
  /// The lowest square above all that are taken where the buffer would lie; 0 if none is.
  std::size_t above_taken(const Lifetime& buffer, std::size_t at) const {
    std::size_t above = 0;
    for (std::int64_t step = buffer.first; step <= buffer.last; ++step)
      for (std::size_t s = at; s < at + squares(buffer.bytes); ++s)
        if (taken_[std::size_t(step)][s]) above = std::max(above, s + 1);
    return above;
  }

  std::vector<std::vector<bool>> taken_;  // by step, then address
};

void expect_as_drawn(const std::vector<Lifetime>& buffers) {
  const ArenaLayout got = lay_out(buffers), expected = Drawing(buffers).layout;
  EXPECT_EQ(got.offsets, expected.offsets);
  EXPECT_EQ(got.bytes, expected.bytes);
}

/// What random buffers have in common.
struct Kind {
  int count, steps;
  int longest;  // life, in steps
  int sizes;    // different ones, in squares: 1 to this
};

std::vector<Lifetime> random_buffers(Random& random, const Kind& kind) {
  std::vector<Lifetime> buffers;
  for (int k = 0; k < kind.count; ++k) {
    const int first = random.integer(0, kind.steps);
    const int last = std::min(kind.steps - 1, first + random.integer(0, kind.longest));
    const int bytes = random.integer(0, 8) == 0 ? random.integer(0, kind.sizes * 256 + 1)
                                                : 256 * random.integer(1, kind.sizes + 1);
    buffers.push_back({std::size_t(bytes), first, last});
  }
  return buffers;
}

TEST(Arena, AFewRandomLifetimes) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const int steps = random.integer(1, 41);
    expect_as_drawn(random_buffers(random, {.count = random.integer(0, 61),
                                            .steps = steps,
                                            .longest = random.integer(1, steps + 1),
                                            .sizes = random.integer(1, 13)}));
  }
}

// So many that what is kept of them is divided: by size, and by place.
TEST(Arena, ManyRandomLifetimes) {
  for (const int longest : {2, 40, 200})
    for (const int sizes : {1, 3, 30}) {
      SCOPED_TRACE(std::to_string(longest) + " steps, " + std::to_string(sizes) + " sizes");
      Random random(std::uint64_t(longest + sizes));
      expect_as_drawn(random_buffers(
          random, {.count = 1000, .steps = 200, .longest = longest, .sizes = sizes}));
    }
}

// As in a training step: the backward pass takes in reverse what the forward pass leaves.
TEST(Arena, NestedLifetimes) {
  std::vector<Lifetime> buffers;
  constexpr int kLayers = 300;
  for (int layer = 0; layer < kLayers; ++layer) {
    buffers.push_back({std::size_t(1 + layer % 4) * 256, layer, 2 * kLayers - layer});
    buffers.push_back({std::size_t(1 + layer % 3) * 256, layer, layer + 1});
    buffers.push_back({512, 2 * kLayers - layer, 2 * kLayers - layer + 2});
  }
  buffers.push_back({300, 0, 2 * kLayers + 2});
  expect_as_drawn(buffers);
}

TEST(Arena, BuffersOfOneSizeTakeTurns) {
  std::vector<Lifetime> buffers;
  for (int k = 0; k < 500; ++k) buffers.push_back({1000, k, k + 2});
  const ArenaLayout layout = lay_out(buffers);
  EXPECT_EQ(layout.bytes, 3 * 1024U);
  for (std::size_t k = 0; k < buffers.size(); ++k) EXPECT_EQ(layout.offsets[k], k % 3 * 1024) << k;
}

TEST(Arena, NothingTakesNoRoom) {
  EXPECT_EQ(lay_out({}).bytes, 0U);
  const ArenaLayout layout = lay_out({{0, 0, 3}, {100, 0, 3}, {0, 2, 2}});
  EXPECT_EQ(layout.bytes, 256U);
  EXPECT_EQ(layout.offsets[1], 0U);
}

}  // namespace
}  // namespace unroll::test
