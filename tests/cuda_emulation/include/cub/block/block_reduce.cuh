/// CUB's reduction over a block: thread 0 receives the result, all others an invalid value.
#pragma once

#include <cstring>

#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace cub {

enum BlockReduceAlgorithm {
  BLOCK_REDUCE_RAKING_COMMUTATIVE_ONLY,
  BLOCK_REDUCE_RAKING,
  BLOCK_REDUCE_WARP_REDUCTIONS,
};

template <typename T, int kX, BlockReduceAlgorithm = BLOCK_REDUCE_WARP_REDUCTIONS, int kY = 1,
          int kZ = 1>
class BlockReduce {
 public:
  /// May be used again after a __syncthreads().
  struct TempStorage {
    T values[kX * kY * kZ];
  };

  explicit BlockReduce(TempStorage& storage) : storage_(storage) {}

  template <typename Operation>
  T Reduce(T value, Operation operation, int valid = kX * kY * kZ) {
    const int rank = emulation::rank();
    storage_.values[rank] = value;
    __syncthreads();
    if (rank != 0) {
      std::memset(static_cast<void*>(&value), 0xFF, sizeof value);
      return value;
    }
    for (int k = 1; k < valid; ++k) value = operation(value, storage_.values[k]);
    return value;
  }
  T Sum(T value, int valid = kX * kY * kZ) {
    return Reduce(
        value, [](const T& a, const T& b) { return T(a + b); }, valid);
  }

 private:
  TempStorage& storage_;
};

}  // namespace cub
