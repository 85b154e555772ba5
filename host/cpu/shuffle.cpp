#include "host/cpu/shuffle.h"

#include <algorithm>
#include <cstddef>

#include "unroll/math/philox.h"

namespace unroll::host {

std::size_t permutation_scratch_bytes(std::int64_t ids) {
  return std::size_t(ids) * sizeof(std::uint64_t);
}

void permutation(Device& device, const Permutation& args) {
  const std::int64_t count = args.order.elements();
  auto* pairs = reinterpret_cast<std::uint64_t*>(args.scratch.as<std::byte>());
  const auto step = std::uint64_t(*args.step.as<std::int64_t>());
  device.pool.parallel_for(count, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k)
      pairs[k] = std::uint64_t(math::philox_word(args.key, step, std::uint64_t(k))) << 32 |
                 std::uint64_t(k);
  });
  std::sort(pairs, pairs + count);  // by word, then by id
  std::int32_t* order = args.order.as<std::int32_t>();
  std::int32_t* inverse = args.inverse.as<std::int32_t>();
  for (std::int64_t k = 0; k < count; ++k) {
    order[k] = std::int32_t(pairs[k] & 0xFFFFFFFFu);
    inverse[order[k]] = std::int32_t(k);
  }
}

}  // namespace unroll::host
