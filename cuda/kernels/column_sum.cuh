/// Sums over the rows of a matrix: a block adds up 32 neighbouring columns.
#pragma once

#include <cstdint>

namespace unroll::gpu {

inline constexpr int kSumColumns = 32, kSumRows = 32;  // threads of a block

/// The column that this thread helps to sum.
__device__ __forceinline__ int summed_column() {
  return int(blockIdx.x) * kSumColumns + int(threadIdx.x) % kSumColumns;
}

/// The sum of value(row) over all rows of a column: each thread adds every 32nd row, then the 32
/// sums are added in order. Only the threads for which has_column_sum() holds receive it. Columns
/// from `columns` on are not read.
template <typename Value>
__device__ __forceinline__ float column_sum(std::int64_t rows, int columns, const Value& value) {
  __shared__ float sums[kSumRows][kSumColumns + 1];
  const int column = int(threadIdx.x) % kSumColumns, first = int(threadIdx.x) / kSumColumns;
  float sum = 0;
  if (summed_column() < columns)
#pragma unroll 8
    for (std::int64_t row = first; row < rows; row += kSumRows) sum += value(row);
  sums[first][column] = sum;
  __syncthreads();
  if (first == 0)
    for (int k = 1; k < kSumRows; ++k) sum += sums[k][column];
  return sum;
}
__device__ __forceinline__ bool has_column_sum(int columns) {
  return int(threadIdx.x) < kSumColumns && summed_column() < columns;
}

}  // namespace unroll::gpu
