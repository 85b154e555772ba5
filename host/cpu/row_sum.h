/// Sums over many rows, as of the gradients of a bias.
#pragma once

#include <cstdint>

namespace unroll::host {

struct RowSum {
  const float* x;  // [rows, columns] in, a row every `stride` numbers
  std::int64_t rows, columns, stride;
  float* sum;  // [columns] in and out: the rows are added to it
};

/// Adds up blocks of rows, and then the blocks: one chain over millions of rows would lose what it
/// adds, because each number is small beside their sum. Its result depends only on the values.
void add_rows(const RowSum& s);

}  // namespace unroll::host
