#include "host/cpu/row_sum.h"

#include <algorithm>

#include "host/cpu/kernels.h"

namespace unroll::host {

void add_rows(const RowSum& s) {
  // Blocks of about the square root of the largest number of rows: then neither chain is long.
  constexpr std::int64_t kBlockRows = 1024, kTile = 64;
  const RowKernels& kernels = row_kernels();
  for (std::int64_t first = 0; first < s.columns; first += kTile) {
    const std::int64_t width = std::min(kTile, s.columns - first);
    for (std::int64_t row = 0; row < s.rows;) {
      const std::int64_t end = std::min(row + kBlockRows, s.rows);
      float block[kTile] = {};
      for (; row < end; ++row) {
        const std::int64_t at = row * s.stride + first;
        if (s.factor)
          kernels.accumulate_product(s.x + at, s.factor + at, block, width);
        else
          kernels.accumulate(s.x + at, block, width);
      }
      kernels.accumulate(block, s.sum + first, width);
    }
  }
}

}  // namespace unroll::host
