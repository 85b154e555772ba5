#include "host/cpu/random.h"

#include <algorithm>

#include "unroll/cells/philox.h"

namespace unroll::host {

void apply_dropout(ThreadPool& pool, const DropoutArgs& a) {
  constexpr std::int64_t kBlock = 4;  // elements that one Philox block serves
  const std::uint32_t threshold = cells::dropout_threshold(a.rate);
  const float scale = 1 / (1 - a.rate);
  const auto step = std::uint64_t(*a.step);
  pool.parallel_for((a.n + kBlock - 1) / kBlock, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const cells::PhiloxBlock bits = cells::philox(a.key, step, std::uint64_t(block));
      const std::int64_t first = block * kBlock, last = std::min(first + kBlock, a.n);
      for (std::int64_t i = first; i < last; ++i)
        a.out[i] = bits.word[i - first] >= threshold ? a.in[i] * scale : 0;
    }
  });
}

}  // namespace unroll::host
