/// CUB's prefix sums over a block.
#pragma once

#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace cub {

enum BlockScanAlgorithm { BLOCK_SCAN_RAKING, BLOCK_SCAN_RAKING_MEMOIZE, BLOCK_SCAN_WARP_SCANS };

template <typename T, int kX, BlockScanAlgorithm = BLOCK_SCAN_RAKING, int kY = 1, int kZ = 1>
class BlockScan {
 public:
  /// May be used again after a __syncthreads().
  struct TempStorage {
    T values[kX * kY * kZ];
  };

  explicit BlockScan(TempStorage& storage) : storage_(storage) {}

  void InclusiveSum(T input, T& output) {
    T total;
    InclusiveSum(input, output, total);
  }
  void InclusiveSum(T input, T& output, T& total) {
    ExclusiveSum(input, output, total);
    output = T(output + input);
  }
  void ExclusiveSum(T input, T& output) {
    T total;
    ExclusiveSum(input, output, total);
  }
  void ExclusiveSum(T input, T& output, T& total) {
    const int rank = emulation::rank();
    storage_.values[rank] = input;
    __syncthreads();
    output = total = T{};
    for (int k = 0; k < kX * kY * kZ; ++k) {
      total = T(total + storage_.values[k]);
      if (k == rank - 1) output = total;
    }
  }

 private:
  TempStorage& storage_;
};

}  // namespace cub
