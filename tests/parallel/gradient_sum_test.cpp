#include "host/parallel/gradient_sum.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "tests/parallel/support.h"

namespace unroll::test {
namespace {

using ShardVector = std::vector<float>;

/// One vector for each shard, of sizes that make the order of a sum show in its bits.
std::vector<ShardVector> shard_values(std::int64_t shards, std::size_t size) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<ShardVector> all(static_cast<std::size_t>(shards), ShardVector(size));
  for (ShardVector& values : all)
    for (float& x : values) x = value(random) * std::exp2(float(int(random() % 20) - 10));
  return all;
}

ShardVector plus_vector(ShardVector left, const ShardVector& right) {
  for (std::size_t k = 0; k < left.size(); ++k) left[k] += right[k];
  return left;
}

ShardVector node_sum(const std::vector<ShardVector>& all, const IndexRange& node) {
  return tree_sum(
      node, [&](std::int64_t shard) { return all[std::size_t(shard)]; }, plus_vector);
}

TEST(GradientSum, HasTheBitsOfTheTreeForAnyNumberOfRanks) {
  for (const std::int64_t shards : {1, 2, 5, 8, 11})
    for (const std::size_t size : {1, 3, 255, 1027}) {
      const std::vector<ShardVector> all = shard_values(shards, size);
      const ShardVector expected = node_sum(all, {0, shards});
      for (int ranks = 1; ranks <= shards; ++ranks) {
        SCOPED_TRACE(testing::Message() << shards << " shards on " << ranks);
        expect_no_error(on_ranks(ranks_in_process(ranks), [&](Communicator& c) {
          GradientSum sum(c, shards);
          for (int step = 0; step < 2; ++step) {  // the second finds what the first left
            std::vector<ShardVector> own;
            for (const IndexRange& node : sum.own_nodes()) own.push_back(node_sum(all, node));
            std::vector<std::span<float>> spans(own.begin(), own.end());
            const std::span<const float> got = sum.sum(spans);
            if (got.size() != size ||
                std::memcmp(got.data(), expected.data(), size * sizeof(float)) != 0)
              throw std::runtime_error("other bits than the tree's");
          }
        }));
      }
    }
}

TEST(GradientSum, GathersRowsInTheOrderOfTheRanks) {
  expect_no_error(on_ranks(ranks_in_process(3), [](Communicator& c) {
    // Rank r has r + 1 rows of two elements.
    std::vector<std::int32_t> ids;
    ShardVector rows;
    for (int k = 0; k <= c.rank(); ++k) {
      ids.push_back(10 * c.rank() + k);
      rows.insert(rows.end(), {float(ids.back()), -float(ids.back())});
    }
    GatheredRows all;
    gather_rows(c, ids, rows, all);
    if (all.ids != std::vector<std::int32_t>{0, 10, 11, 20, 21, 22} ||
        all.rows != ShardVector{0, 0, 10, -10, 11, -11, 20, -20, 21, -21, 22, -22})
      throw std::runtime_error("other rows");
  }));
}

}  // namespace
}  // namespace unroll::test
