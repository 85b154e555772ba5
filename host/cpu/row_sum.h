/// Sums over many rows, for example of the gradients of a bias.
#pragma once

#include <cstdint>

namespace unroll::host {

struct RowSum {
  const float* x;  // [rows, columns] in, row stride `stride`
  std::int64_t rows, columns, stride;
  float* sum;                     // [columns] in and out: the rows are added to it
  const float* factor = nullptr;  // like x, or null: multiplies it element by element
};

/// Adds up blocks of rows, then the block sums. One chain over millions of rows would lose
/// precision, because each number is small compared with the sum. The result depends only on the
/// values.
void add_rows(const RowSum& s);

}  // namespace unroll::host
