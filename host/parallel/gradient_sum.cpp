#include "host/parallel/gradient_sum.h"

#include <algorithm>
#include <cstddef>

namespace unroll {

GradientSum::GradientSum(Communicator& communicator, std::int64_t shards)
    : communicator_(communicator),
      shards_(shards),
      rank_(std::size_t(communicator.rank())),
      ranks_(std::size_t(communicator.size())) {
  for (std::int64_t rank = 0; rank < communicator.size(); ++rank)
    nodes_.push_back(subtrees({0, shards}, part_of(shards, communicator.size(), rank)));
}

/// The elements that this rank adds up.
std::span<float> GradientSum::slice(std::span<float> values, std::size_t rank) const {
  const IndexRange range =
      part_of(std::int64_t(values.size()), std::int64_t(ranks_), std::int64_t(rank));
  return values.subspan(std::size_t(range.begin), std::size_t(range.size()));
}

std::span<const float> GradientSum::sum(std::span<const std::span<float>> own) {
  sum_.resize(own.front().size());
  const std::span<float> mine = slice(sum_, rank_);
  std::size_t foreign = 0;
  for (std::size_t rank = 0; rank < ranks_; ++rank)
    if (rank != rank_) foreign += nodes_[rank].size();
  received_.resize(foreign * mine.size());

  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  std::vector<std::span<float>> parts;  // this rank's slice of every node, in order
  std::span<float> room = received_;
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    for (std::size_t node = 0; node < nodes_[rank].size(); ++node) {
      if (rank == rank_) {
        parts.push_back(slice(own[node], rank_));
        continue;
      }
      parts.push_back(room.first(mine.size()));
      room = room.subspan(mine.size());
      in.push_back({int(rank), std::as_writable_bytes(parts.back())});
    }
    if (rank == rank_) continue;
    for (const std::span<float>& values : own)
      out.push_back({int(rank), std::as_bytes(slice(values, rank))});
  }
  communicator_.exchange(out, in);

  // The nodes come in order, so the sum over the tree takes them one after the other.
  std::size_t next = 0;
  std::vector<IndexRange> ranges;
  for (const auto& nodes : nodes_) ranges.insert(ranges.end(), nodes.begin(), nodes.end());
  const auto add = [&](auto&& self, const IndexRange& shards) -> std::span<float> {
    if (ranges[next] == shards) return parts[next++];
    const auto [first, second] = halves(shards);
    const std::span<float> left = self(self, first), right = self(self, second);
    for (std::size_t k = 0; k < left.size(); ++k) left[k] += right[k];
    return left;
  };
  std::ranges::copy(add(add, {0, shards_}), mine.begin());

  out.clear();
  in.clear();
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    if (rank == rank_) continue;
    out.push_back({int(rank), std::as_bytes(mine)});
    in.push_back({int(rank), std::as_writable_bytes(slice(sum_, rank))});
  }
  communicator_.exchange(out, in);
  return sum_;
}

void gather_rows(Communicator& communicator, std::span<const std::int32_t> ids,
                 std::span<const float> rows, GatheredRows& all) {
  const auto ranks = std::size_t(communicator.size()), rank = std::size_t(communicator.rank());
  std::vector<std::uint64_t> counts(ranks, ids.size());
  const std::size_t columns = rows.size() / std::max<std::size_t>(ids.size(), 1);
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  for (std::size_t other = 0; other < ranks; ++other) {
    if (other == rank) continue;
    out.push_back({int(other), std::as_bytes(std::span(&counts[rank], 1))});
    in.push_back({int(other), std::as_writable_bytes(std::span(&counts[other], 1))});
  }
  communicator.exchange(out, in);

  std::size_t total = 0;
  for (const std::uint64_t count : counts) total += count;
  all.ids.resize(total);
  all.rows.resize(total * columns);
  out.clear();
  in.clear();
  std::size_t at = 0;
  for (std::size_t other = 0; other < ranks; ++other) {
    const std::span<std::int32_t> id = std::span(all.ids).subspan(at, counts[other]);
    const std::span<float> row = std::span(all.rows).subspan(at * columns, counts[other] * columns);
    at += counts[other];
    if (other == rank) {
      std::ranges::copy(ids, id.begin());
      std::ranges::copy(rows, row.begin());
      continue;
    }
    out.push_back({int(other), std::as_bytes(ids)});
    out.push_back({int(other), std::as_bytes(rows)});
    in.push_back({int(other), std::as_writable_bytes(id)});
    in.push_back({int(other), std::as_writable_bytes(row)});
  }
  communicator.exchange(out, in);
}

}  // namespace unroll
