#include "host/parallel/gradient_sum.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "unroll/backend.h"

namespace unroll {
namespace {

constexpr std::int64_t kUnit = 64;  // elements: where tensors and slices begin

std::int64_t in_units(std::int64_t elements) {
  return (elements + kUnit - 1) / kUnit;
}

std::span<std::byte> bytes_of(const View& view) {
  return {static_cast<std::byte*>(view.data), view.bytes()};
}

View part_of_view(const View& view, std::int64_t begin, std::int64_t size) {
  return {static_cast<std::byte*>(view.data) + std::size_t(begin) * size_of(view.dtype),
          Shape{size}, view.dtype};
}

}  // namespace

GradientSum::GradientSum(const Ranks& ranks, std::int64_t shards)
    : ranks_(ranks),
      shards_(shards),
      rank_(std::size_t(ranks.communicator.rank())),
      size_(std::size_t(ranks.communicator.size())) {
  for (std::int64_t rank = 0; rank < std::int64_t(size_); ++rank)
    nodes_.push_back(subtrees({0, shards}, part_of(shards, std::int64_t(size_), rank)));
}

void* GradientSum::Room::of(Backend& device, std::size_t needed) {
  if (needed > bytes) {
    memory.reset();
    memory = device.allocate(needed);
    bytes = needed;
  }
  return memory.get();
}

std::int64_t GradientSum::slice_begin(std::size_t rank) const {
  return part_of(length_ / kUnit, std::int64_t(size_), std::int64_t(rank)).begin * kUnit;
}

/// Where each tensor, and each rank's slice of all of them, lies in the long vector.
void GradientSum::lay_out(const std::vector<View>& tensors) {
  std::vector<std::int64_t> begins;
  for (const View& tensor : tensors) {
    begins.push_back(length_);
    length_ += in_units(tensor.elements()) * kUnit;
  }
  memory_ = ranks_.device.allocate(std::size_t(length_) * sizeof(float));
  const View all{memory_.get(), Shape{length_}};
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    summed_.tensors.push_back(part_of_view(all, begins[k], tensors[k].elements()));
    summed_.tensors.back().shape = tensors[k].shape;
  }
  std::size_t foreign = 0;
  for (std::size_t rank = 0; rank < size_; ++rank) {
    if (rank != rank_) foreign += nodes_[rank].size();
    const std::int64_t begin = slice_begin(rank), end = slice_begin(rank + 1);
    std::vector<Piece>& pieces = pieces_.emplace_back();
    for (std::size_t k = 0; k < tensors.size(); ++k) {
      const std::int64_t first = std::max(begin, begins[k]);
      const std::int64_t last = std::min(end, begins[k] + tensors[k].elements());
      if (first < last) pieces.push_back({k, first - begins[k], first, last - first});
    }
  }
  const std::int64_t slice = slice_begin(rank_ + 1) - slice_begin(rank_);
  received_ = ranks_.device.allocate(foreign * std::size_t(slice) * sizeof(float));
}

GradientSum::Pieces GradientSum::pieces_of(const std::vector<View>& tensors,
                                           std::size_t rank) const {
  Pieces views;
  for (const Piece& piece : pieces_[rank])
    views.push_back(
        part_of_view({tensors[piece.tensor].data, Shape{tensors[piece.tensor].elements()},
                      tensors[piece.tensor].dtype},
                     piece.begin, piece.size));
  return views;
}

void GradientSum::exchange_counts(const OwnGradients& own) {
  counts_.assign(size_, std::vector<std::uint64_t>(own.tables.size() + 1));
  counts_[rank_][0] = own.flag ? 1 : 0;
  for (std::size_t k = 0; k < own.tables.size(); ++k)
    counts_[rank_][k + 1] = std::uint64_t(own.tables[k].ids.elements());
  out_.clear();
  in_.clear();
  for (std::size_t rank = 0; rank < size_; ++rank) {
    if (rank == rank_) continue;
    out_.push_back({int(rank), std::as_bytes(std::span(counts_[rank_]))});
    in_.push_back({int(rank), std::as_writable_bytes(std::span(counts_[rank]))});
  }
  ranks_.communicator.exchange(out_, in_);
  summed_.flag = std::ranges::any_of(counts_, [](const auto& counts) { return counts[0] > 0; });
}

/// Messages that bring this rank its slice of all nodes, and the other ranks theirs of its own.
void GradientSum::take_slices(const OwnGradients& own) {
  parts_.clear();
  const std::int64_t begin = slice_begin(rank_), size = slice_begin(rank_ + 1) - begin;
  auto* room = static_cast<float*>(received_.get());
  for (std::size_t rank = 0; rank < size_; ++rank) {
    for (std::size_t node = 0; node < nodes_[rank].size(); ++node) {
      if (rank == rank_) {
        parts_.push_back({pieces_of(own.nodes[node], rank_), true});
        continue;
      }
      Pieces& pieces = parts_.emplace_back().pieces;
      for (const Piece& piece : pieces_[rank_]) {
        pieces.push_back({room + (piece.place - begin), Shape{piece.size}});
        in_.push_back({int(rank), bytes_of(pieces.back())});
      }
      room += size;
    }
    if (rank == rank_) continue;
    for (const std::vector<View>& tensors : own.nodes)
      for (const View& piece : pieces_of(tensors, rank))
        out_.push_back({int(rank), bytes_of(piece)});
  }
}

/// Messages that bring all ranks the rows of all.
void GradientSum::take_rows(const OwnGradients& own) {
  id_rooms_.resize(own.tables.size());
  row_rooms_.resize(own.tables.size());
  summed_.tables.clear();
  for (std::size_t k = 0; k < own.tables.size(); ++k) {
    const TableRows& mine = own.tables[k];
    std::int64_t total = 0, at = 0;
    for (const auto& counts : counts_) total += std::int64_t(counts[k + 1]);
    const std::int64_t columns = mine.rows.shape[1];
    const auto needed = std::size_t(total) * sizeof(std::int32_t);
    const View ids{id_rooms_[k].of(ranks_.device, needed), Shape{total}, DType::kInt32};
    const View rows{row_rooms_[k].of(ranks_.device, needed * std::size_t(columns)),
                    Shape{total * columns}};
    summed_.tables.push_back({ids, {rows.data, Shape{total, columns}}});
    for (std::size_t rank = 0; rank < size_; ++rank) {
      const auto count = std::int64_t(counts_[rank][k + 1]);
      const View their_ids = part_of_view(ids, at, count);
      const View their_rows = part_of_view(rows, at * columns, count * columns);
      at += count;
      if (rank == rank_) {
        ranks_.device.copy(their_ids.data, mine.ids.data, mine.ids.bytes());
        ranks_.device.copy(their_rows.data, mine.rows.data, mine.rows.bytes());
        continue;
      }
      for (const View& sent : {mine.ids, mine.rows}) out_.push_back({int(rank), bytes_of(sent)});
      for (const View& got : {their_ids, their_rows}) in_.push_back({int(rank), bytes_of(got)});
    }
  }
}

/// This rank's slice of the sum of all nodes. They come in order, so the sum over the tree takes
/// them one after the other. A sum replaces a node that was received: two own nodes are never added
/// up here, because a rank's nodes are the largest that it can add up by itself.
void GradientSum::add_up() {
  const Pieces result = pieces_of(summed_.tensors, rank_);
  std::vector<IndexRange> ranges;
  for (const auto& nodes : nodes_) ranges.insert(ranges.end(), nodes.begin(), nodes.end());
  std::size_t next = 0;
  const IndexRange all{0, shards_};
  const auto sum = [&](auto&& self, const IndexRange& shards) -> Node {
    if (ranges[next] == shards) return parts_[next++];
    const auto [first, second] = halves(shards);
    const Node left = self(self, first), right = self(self, second);
    const Pieces& out = shards == all ? result : left.own ? right.pieces : left.pieces;
    for (std::size_t k = 0; k < out.size(); ++k)
      ranks_.device.elementwise({.kind = ElementwiseKind::kAdd,
                                 .a = left.pieces[k],
                                 .b = right.pieces[k],
                                 .out = out[k]});
    return {out, false};
  };
  const Node total = sum(sum, all);
  if (ranges.size() == 1)  // this rank holds all shards
    for (std::size_t k = 0; k < result.size(); ++k)
      ranks_.device.copy(result[k].data, total.pieces[k].data, result[k].bytes());
}

const SummedGradients& GradientSum::sum(const OwnGradients& own) {
  if (!memory_) lay_out(own.nodes.front());
  exchange_counts(own);
  out_.clear();
  in_.clear();
  take_rows(own);
  take_slices(own);
  ranks_.exchange.exchange(out_, in_);
  add_up();
  out_.clear();
  in_.clear();
  const Pieces mine = pieces_of(summed_.tensors, rank_);
  for (std::size_t rank = 0; rank < size_; ++rank) {
    if (rank == rank_) continue;
    for (const View& piece : mine) out_.push_back({int(rank), bytes_of(piece)});
    for (const View& piece : pieces_of(summed_.tensors, rank))
      in_.push_back({int(rank), bytes_of(piece)});
  }
  ranks_.exchange.exchange(out_, in_);
  return summed_;
}

}  // namespace unroll
