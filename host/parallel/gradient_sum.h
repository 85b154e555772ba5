/// Sums of vectors over all shards, of which each rank holds some.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/parallel/communicator.h"
#include "host/parallel/shard_tree.h"

namespace unroll {

/// A vector for each shard, all of one length, is added up by the fixed tree of shard_tree.h. Each
/// rank adds up one slice of the elements for all others: all-to-all of slices, sums in order,
/// all-gather. Where every rank holds one node of the tree, a rank sends and receives what a ring
/// would: 2 (R - 1) / R of a vector.
class GradientSum {
 public:
  /// The communicator must outlive it.
  GradientSum(Communicator& communicator, std::int64_t shards);

  /// The nodes of the tree that this rank adds up by itself.
  const std::vector<IndexRange>& own_nodes() const { return nodes_.at(rank_); }

  /// Collective.
  /// Shapes    own: the sums of own_nodes(), changed; all of the result's length
  /// Errors    RankFailure.
  std::span<const float> sum(std::span<const std::span<float>> own);

 private:
  std::span<float> slice(std::span<float> values, std::size_t rank) const;

  Communicator& communicator_;
  std::int64_t shards_;
  std::size_t rank_, ranks_;
  std::vector<std::vector<IndexRange>> nodes_;  // of each rank
  std::vector<float> received_, sum_;
};

/// Rows of all ranks in the order of the ranks, which is that of their shards.
struct GatheredRows {
  std::vector<std::int32_t> ids;  // [M]
  std::vector<float> rows;        // [M, E]
};

/// Collective: writes the ids and rows of all ranks to `all`.
/// Errors    RankFailure.
void gather_rows(Communicator& communicator, std::span<const std::int32_t> ids,
                 std::span<const float> rows, GatheredRows& all);

}  // namespace unroll
