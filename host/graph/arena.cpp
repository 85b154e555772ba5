#include "host/graph/arena.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace unroll {
namespace {

/// Buffers that have their place, by rising offset. They come in blocks, each with a summary, so
/// that a search passes over most blocks at once: those whose buffers live at other times, and
/// those whose buffers all live at the same time and lie densely. In a graph that is unrolled over
/// time nearly all blocks are such, if the buffers have one size.
class PlacedBuffers {
 public:
  /// The lowest address from `offset` on at which these buffers leave `bytes` free throughout a
  /// lifetime.
  std::size_t first_free(const Lifetime& life, std::size_t bytes, std::size_t offset) const {
    // No buffer of the blocks before ends above `offset`.
    const std::size_t start = offset < largest_ ? 0 : last_block_from(offset - largest_);
    for (std::size_t k = start; k < blocks_.size(); ++k) {
      const Block& block = blocks_[k];
      if (block.begin() >= offset + bytes) break;
      if (block.end <= offset || block.last < life.first || life.last < block.first) continue;
      if (block.latest_first <= life.last && life.first <= block.earliest_last &&
          block.gap < bytes) {
        offset = block.end;
        continue;
      }
      for (const Buffer& buffer : block.buffers) {
        if (buffer.last < life.first || life.last < buffer.first || buffer.end <= offset) continue;
        if (buffer.begin >= offset + bytes) return offset;
        offset = buffer.end;
      }
    }
    return offset;
  }

  void add(const Lifetime& life, std::size_t offset, std::size_t bytes) {
    largest_ = std::max(largest_, bytes);
    if (blocks_.empty()) blocks_.emplace_back();
    const std::size_t index = last_block_from(offset);
    Block& block = blocks_[index];
    auto& buffers = block.buffers;
    buffers.insert(std::ranges::upper_bound(buffers, offset, {}, &Buffer::begin),
                   {offset, offset + bytes, life.first, life.last});
    if (buffers.size() < kMostInABlock) {
      block.summarize();
      return;
    }
    const auto middle = buffers.begin() + kMostInABlock / 2;
    Block upper;
    upper.buffers.assign(middle, buffers.end());
    buffers.erase(middle, buffers.end());
    block.summarize();
    upper.summarize();
    blocks_.insert(blocks_.begin() + std::ptrdiff_t(index) + 1, std::move(upper));
  }

 private:
  static constexpr std::size_t kMostInABlock = 128;  // 32 to 128 are equally fast

  struct Buffer {
    std::size_t begin, end;    // addresses
    std::int64_t first, last;  // steps
  };
  struct Block {
    std::vector<Buffer> buffers;
    std::size_t end = 0;               // the highest
    std::size_t gap = 0;               // the widest between two of them
    std::int64_t first = 0, last = 0;  // before and after these no buffer lives
    std::int64_t latest_first = 0, earliest_last = 0;

    std::size_t begin() const { return buffers.empty() ? 0 : buffers.front().begin; }
    void summarize() {
      const Buffer& lowest = buffers.front();
      end = lowest.end;
      gap = 0;
      first = latest_first = lowest.first;
      last = earliest_last = lowest.last;
      for (const Buffer& buffer : buffers) {
        if (buffer.begin > end) gap = std::max(gap, buffer.begin - end);
        end = std::max(end, buffer.end);
        first = std::min(first, buffer.first);
        latest_first = std::max(latest_first, buffer.first);
        last = std::max(last, buffer.last);
        earliest_last = std::min(earliest_last, buffer.last);
      }
    }
  };

  /// The last block that does not begin above `offset`, or else the first: its index.
  std::size_t last_block_from(std::size_t offset) const {
    const auto above = std::ranges::upper_bound(blocks_, offset, {}, &Block::begin);
    return std::size_t(std::max(above - blocks_.begin(), std::ptrdiff_t(1)) - 1);
  }

  std::vector<Block> blocks_;
  std::size_t largest_ = 0;  // bytes of a buffer
};

/// All placed buffers: each size that is frequent has a list of its own, the others share one.
class Placement {
 public:
  /// `sizes`: of all buffers to come.
  explicit Placement(const std::vector<std::size_t>& sizes) : lists_(1) {
    std::map<std::size_t, std::size_t> counts;
    for (const std::size_t bytes : sizes) ++counts[bytes];
    for (const auto& [bytes, count] : counts)
      if (count * kMostLists >= sizes.size()) {
        list_of_[bytes] = lists_.size();
        lists_.emplace_back();
      }
  }

  /// The lowest address at which `bytes` are free throughout a lifetime. They are taken now.
  std::size_t place(const Lifetime& life, std::size_t bytes) {
    std::size_t offset = 0;
    // Until no list has pushed the offset up since all were asked.
    for (std::size_t agreed = 0, k = 0; agreed < lists_.size(); k = (k + 1) % lists_.size()) {
      const std::size_t free = lists_[k].first_free(life, bytes, offset);
      agreed = free == offset ? agreed + 1 : 1;
      offset = free;
    }
    const auto list = list_of_.find(bytes);
    lists_[list == list_of_.end() ? 0 : list->second].add(life, offset, bytes);
    return offset;
  }

 private:
  static constexpr std::size_t kMostLists = 16;  // bounds what a search costs

  std::vector<PlacedBuffers> lists_;
  std::map<std::size_t, std::size_t> list_of_;  // index by size
};

}  // namespace

ArenaLayout lay_out(const std::vector<Lifetime>& buffers) {
  std::vector<std::size_t> by_size(buffers.size()), sizes;
  std::iota(by_size.begin(), by_size.end(), std::size_t(0));
  std::ranges::stable_sort(by_size, std::ranges::greater{},
                           [&](std::size_t index) { return buffers[index].bytes; });
  for (const Lifetime& buffer : buffers) sizes.push_back(aligned(buffer.bytes));

  ArenaLayout layout;
  layout.offsets.resize(buffers.size());
  Placement placement(sizes);
  for (const std::size_t index : by_size) {
    if (sizes[index] == 0) continue;  // anywhere
    layout.offsets[index] = placement.place(buffers[index], sizes[index]);
    layout.bytes = std::max(layout.bytes, layout.offsets[index] + sizes[index]);
  }
  return layout;
}

}  // namespace unroll
