#include "host/cpu/dropout.h"

#include <algorithm>

#include "unroll/math/philox.h"

namespace unroll::host {

void dropout(Device& device, const Dropout& args) {
  apply_dropout(device.pool, {args.in.as<float>(), args.out.as<float>(), args.in.elements(),
                              args.rate, args.key, args.step.as<std::int64_t>()});
}

void apply_dropout(ThreadPool& pool, const DropoutArgs& a) {
  constexpr std::int64_t kBlock = 4;  // elements per Philox block
  const std::uint32_t threshold = math::dropout_threshold(a.rate);
  const float scale = 1 / (1 - a.rate);
  const auto step = std::uint64_t(*a.step);
  pool.parallel_for((a.n + kBlock - 1) / kBlock, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const math::PhiloxBlock bits = math::philox(a.key, step, std::uint64_t(block));
      const std::int64_t first = block * kBlock, last = std::min(first + kBlock, a.n);
      for (std::int64_t i = first; i < last; ++i)
        a.out[i] = bits.word[i - first] >= threshold ? a.in[i] * scale : 0;
    }
  });
}

}  // namespace unroll::host
