#include "host/graph/arena.h"

#include <algorithm>
#include <numeric>

namespace unroll {

ArenaLayout lay_out(const std::vector<Lifetime>& buffers) {
  std::vector<std::size_t> by_size(buffers.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t(0));
  std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) {
    return buffers[a].bytes > buffers[b].bytes;
  });

  ArenaLayout layout;
  layout.offsets.resize(buffers.size());
  std::vector<std::size_t> placed;  // by rising offset
  for (const std::size_t index : by_size) {
    const Lifetime& buffer = buffers[index];
    const std::size_t bytes =
        (buffer.bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      const Lifetime& o = buffers[other];
      if (o.last < buffer.first || buffer.last < o.first) continue;
      if (layout.offsets[other] >= offset + bytes) break;
      offset = std::max(offset, layout.offsets[other] + o.bytes);
      offset = (offset + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    }
    layout.offsets[index] = offset;
    layout.bytes = std::max(layout.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), index,
                                   [&](std::size_t a, std::size_t b) {
                                     return layout.offsets[a] < layout.offsets[b];
                                   }),
                  index);
  }
  return layout;
}

}  // namespace unroll
