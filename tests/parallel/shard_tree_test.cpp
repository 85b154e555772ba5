#include "host/parallel/shard_tree.h"

#include <gtest/gtest.h>

#include <string>

namespace unroll::test {
namespace {

std::string written_sum(const IndexRange& shards) {
  return tree_sum(
      shards, [](std::int64_t shard) { return std::to_string(shard); },
      [](const std::string& left, const std::string& right) {
        return "(" + left + "+" + right + ")";
      });
}

TEST(ShardTree, AddsByHalves) {
  EXPECT_EQ(written_sum({0, 1}), "0");
  EXPECT_EQ(written_sum({0, 8}), "(((0+1)+(2+3))+((4+5)+(6+7)))");
  EXPECT_EQ(written_sum({0, 5}), "(((0+1)+2)+(3+4))");
}

TEST(ShardTree, PartsCoverAllAndDifferByOneAtMost) {
  for (std::int64_t items : {1, 2, 7, 8, 20, 33})
    for (std::int64_t parts = 1; parts <= items; ++parts) {
      std::int64_t next = 0;
      for (std::int64_t part = 0; part < parts; ++part) {
        const IndexRange range = part_of(items, parts, part);
        EXPECT_EQ(range.begin, next);
        EXPECT_GE(range.size(), items / parts);
        EXPECT_LE(range.size(), (items + parts - 1) / parts);
        next = range.end;
      }
      EXPECT_EQ(next, items);
    }
}

// The sums that ranks make by themselves must be those of the tree, in any number of ranks.
TEST(ShardTree, OwnNodesAreNodesOfTheTree) {
  for (std::int64_t shards = 1; shards <= 17; ++shards)
    for (std::int64_t ranks = 1; ranks <= shards; ++ranks) {
      std::vector<IndexRange> nodes;
      for (std::int64_t rank = 0; rank < ranks; ++rank)
        for (const IndexRange& node : subtrees({0, shards}, part_of(shards, ranks, rank)))
          nodes.push_back(node);
      std::size_t next = 0;
      const auto sum = [&](auto&& self, const IndexRange& range) -> std::string {
        if (next < nodes.size() && nodes[next] == range) {
          ++next;
          return written_sum(range);
        }
        const auto [left, right] = halves(range);
        const std::string first = self(self, left);
        return "(" + first + "+" + self(self, right) + ")";
      };
      EXPECT_EQ(sum(sum, {0, shards}), written_sum({0, shards})) << shards << " on " << ranks;
      EXPECT_EQ(next, nodes.size());
    }
}

}  // namespace
}  // namespace unroll::test
