/// How a batch is cut into shards, and in which order their results are added up. Neither depends
/// on how many ranks hold the shards, so results do not either.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace unroll {

/// Some of the items 0, 1, 2, ... that follow each other: [begin, end).
struct IndexRange {
  std::int64_t begin = 0, end = 1;

  std::int64_t size() const { return end - begin; }
  bool contains(const IndexRange& other) const { return begin <= other.begin && other.end <= end; }
  bool operator==(const IndexRange&) const = default;
};

/// Part `part` of `items` in as many parts, whose sizes differ by one at most.
inline IndexRange part_of(std::int64_t items, std::int64_t parts, std::int64_t part) {
  return {items * part / parts, items * (part + 1) / parts};
}

/// A range of two or more shards is a node of the tree: the sum of its two halves.
inline std::pair<IndexRange, IndexRange> halves(const IndexRange& shards) {
  const std::int64_t middle = shards.begin + (shards.size() + 1) / 2;
  return {{shards.begin, middle}, {middle, shards.end}};
}

/// The largest nodes of the tree over `all` that lie within `own`, in order.
inline std::vector<IndexRange> subtrees(const IndexRange& all, const IndexRange& own) {
  if (own.contains(all)) return {all};
  if (own.end <= all.begin || all.end <= own.begin) return {};
  const auto [left, right] = halves(all);
  std::vector<IndexRange> nodes = subtrees(left, own);
  for (const IndexRange& node : subtrees(right, own)) nodes.push_back(node);
  return nodes;
}

/// The sum over the node `shards`: leaf(shard) of one, add(left, right) of two halves. Calls come
/// in the order of the shards, each add as soon as both its operands are there.
template <typename Leaf, typename Add>
auto tree_sum(const IndexRange& shards, const Leaf& leaf, const Add& add)
    -> decltype(leaf(std::int64_t{})) {
  if (shards.size() == 1) return leaf(shards.begin);
  const auto [left, right] = halves(shards);
  auto sum = tree_sum(left, leaf, add);
  return add(std::move(sum), tree_sum(right, leaf, add));
}

}  // namespace unroll
