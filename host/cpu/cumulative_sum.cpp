#include "host/cpu/cumulative_sum.h"

#include <algorithm>

namespace unroll::host {

void cumulative_sum(Device& device, const CumulativeSum& args) {
  const std::int64_t outer = args.x.shape[0], n = args.x.shape[1], inner = args.x.shape[2];
  const float* x = args.x.as<float>();
  float* y = args.y.as<float>();
  constexpr std::int64_t kLines = 16;  // neighbours that one thread adds side by side: a cache line
  const std::int64_t blocks = (inner + kLines - 1) / kLines;
  device.pool.parallel_for(outer * blocks, grain_of(n * std::min(inner, kLines)),
                           [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t block = begin; block < end; ++block) {
                               const std::int64_t first = block % blocks * kLines;
                               const std::int64_t lines = std::min(kLines, inner - first);
                               double total[kLines] = {};
                               for (std::int64_t k = 0; k < n; ++k) {
                                 const std::int64_t place = args.reverse ? n - 1 - k : k;
                                 const std::int64_t at =
                                     (block / blocks * n + place) * inner + first;
                                 for (std::int64_t line = 0; line < lines; ++line) {
                                   const double before = total[line];
                                   total[line] += double(x[at + line]);
                                   y[at + line] = float(args.exclusive ? before : total[line]);
                                 }
                               }
                             }
                           });
}

}  // namespace unroll::host
