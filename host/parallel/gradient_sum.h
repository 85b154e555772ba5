/// Sums of gradients over all shards, of which each rank holds some. They never leave the devices
/// unless the exchange between these does.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/parallel/communicator.h"
#include "host/parallel/device_exchange.h"
#include "host/parallel/shard_tree.h"
#include "unroll/device.h"
#include "unroll/tensor.h"

namespace unroll {

/// Rows of a table, by id.
struct TableRows {
  View ids;   // [M] int32
  View rows;  // [M, E]
};

/// What a rank brings.
struct OwnGradients {
  std::vector<std::vector<View>> nodes;  // float32 tensors, for each of own_nodes()
  std::vector<TableRows> tables;
  bool flag = false;
};

/// What all ranks have then. It stays where it is until the next sum.
struct SummedGradients {
  std::vector<View> tensors;
  std::vector<TableRows> tables;  // of all ranks in their order, which is that of their shards
  bool flag = false;              // whether any rank brought it
};

/// Tensors are added up by the fixed tree of shard_tree.h: as one long vector, of which each rank
/// adds up one slice for all others. All-to-all of slices, sums in order, all-gather. Where every
/// rank holds one node of the tree, a rank sends and receives what a ring would: 2 (R - 1) / R of
/// the vector.
class GradientSum {
 public:
  struct Ranks {
    Communicator& communicator;
    DeviceExchange& exchange;
    Backend& device;
  };
  /// All must outlive it.
  GradientSum(const Ranks& ranks, std::int64_t shards);

  /// The nodes of the tree that this rank adds up by itself.
  const std::vector<IndexRange>& own_nodes() const { return nodes_.at(rank_); }

  /// Collective, of tensors that have the same shapes on every rank and in every call. Their values
  /// are left as they are.
  /// Errors    RankFailure, and those of DeviceExchange::exchange().
  const SummedGradients& sum(const OwnGradients& own);

 private:
  /// A part of a tensor that lies in one rank's slice.
  struct Piece {
    std::size_t tensor;
    std::int64_t begin;  // in the tensor
    std::int64_t place;  // in the long vector
    std::int64_t size;
  };
  /// Device memory that grows.
  struct Room {
    std::shared_ptr<void> memory;
    std::size_t bytes = 0;
    void* of(Backend& device, std::size_t needed);
  };
  using Pieces = std::vector<View>;

  void lay_out(const std::vector<View>& tensors);
  std::int64_t slice_begin(std::size_t rank) const;
  Pieces pieces_of(const std::vector<View>& tensors, std::size_t rank) const;
  void exchange_counts(const OwnGradients& own);
  void take_slices(const OwnGradients& own);
  void take_rows(const OwnGradients& own);
  void add_up();

  Ranks ranks_;
  std::int64_t shards_;
  std::size_t rank_, size_;
  std::vector<std::vector<IndexRange>> nodes_;  // of each rank

  std::int64_t length_ = 0;                         // of the long vector
  std::vector<std::vector<Piece>> pieces_;          // of each rank's slice
  std::shared_ptr<void> memory_, received_;         // the long vector; slices of other ranks' nodes
  std::vector<std::vector<std::uint64_t>> counts_;  // of each rank: its flag, rows of each table
  std::vector<Room> id_rooms_, row_rooms_;
  SummedGradients summed_;

  // What one call of sum() fills.
  struct Node {
    Pieces pieces;
    bool own = false;  // not to be written to
  };
  std::vector<Node> parts_;  // this rank's slice of every node, in order
  std::vector<Outgoing> out_;
  std::vector<Incoming> in_;
};

}  // namespace unroll
