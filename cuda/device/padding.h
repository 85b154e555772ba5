/// Weights in the form that kernels and products read: rows and columns padded with zeros, in the
/// element type of products, and the two biases of a gate added up.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/kernels/element.h"
#include "unroll/cells/program.h"

namespace unroll::gpu {

/// Copies a float32 matrix [row_blocks rows, column_blocks columns] to [row_blocks padded_rows,
/// column_blocks padded_columns] of `element`. Every block is padded with zeros; block k of the
/// rows is block row_order[k] of the source. Padded columns are a multiple of 4, `out` is aligned
/// to 16 bytes.
struct PadMatrix {
  const float* in;
  void* out;
  Element element;
  std::int32_t row_blocks, rows, padded_rows;
  std::int32_t row_order[cells::kMostGates];
  std::int32_t column_blocks, columns, padded_columns;

  bool operator==(const PadMatrix&) const = default;
};
void pad_matrix(cudaStream_t stream, const PadMatrix& args);

/// [slots, Hp] out: the biases that the gate kernels add: W's plus R's [G H] where a slot has both,
/// zero where it has none.
struct SumBiases {
  const float *bias_ih, *bias_hh;
  float* out;
  std::int32_t units, padded;
};
void sum_biases(cudaStream_t stream, const cells::CellProgram& program, const SumBiases& args);

}  // namespace unroll::gpu
