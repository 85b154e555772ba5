/// The training graph of a batch that is cut into shards of rows. Each shard has its part of the
/// graph, with random numbers of its own. Its gradients are added up by the tree of shard_tree.h,
/// so the result does not depend on where the shards are computed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/models/task.h"
#include "host/parallel/shard_tree.h"

namespace unroll {

/// A parameter with a dense gradient has one tensor; a table that is only looked up in has ids and
/// rows, if these are less than the table.
struct GradientTensors {
  std::string variable;
  Tensor dense;
  Tensor ids, rows;  // [M], [M, E]

  bool is_sparse() const { return bool(ids); }
};

/// From summed gradients to the update.
struct UpdateGraph {
  Graph graph;
  std::vector<GradientTensors> gradients;  // placeholders
  Tensor loss;                             // placeholder [1]
  Tensor step;
};

/// What one rank computes.
struct ShardedTraining {
  /// The graph of this rank's shards: its inputs are those of one shard after the other. `step`
  /// runs all of it, or, if other ranks hold shards, what changes variables before the update;
  /// empty: nothing does. `carried` is that of all shards.
  std::unique_ptr<TrainingGraph> own;
  Tensor inverse_count;  // placeholder [1]: 1 / Batch::count; empty: there is one shard
  std::vector<std::vector<std::string>> carried;  // of each shard

  // If other ranks hold shards:
  /// For each of the rank's nodes of the tree, the summed dense gradients in the order of
  /// `update->gradients`, then the loss.
  std::vector<std::vector<Tensor>> sums;
  /// Ids and rows of all own shards, in the order of `update->gradients`; dense ones are empty.
  std::vector<GradientTensors> rows;
  std::unique_ptr<UpdateGraph> update;
};

struct Sharding {
  std::int64_t shards = 1;
  IndexRange own = {0, 1};  // those of this rank

  bool is_split() const { return own.size() < shards; }
};

/// With one shard, the graph is task.training_graph().
ShardedTraining sharded_training(const Task& task, const TrainingGraphOptions& options,
                                 const Sharding& sharding);

}  // namespace unroll
