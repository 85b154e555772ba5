/// What a recurrent stack does beside its products and gates: it brings weights, inputs and states
/// into their padded form and back, and adds up the gradients of its biases.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/gates.h"
#include "cuda/gemm.h"

namespace unroll::gpu {

/// A matrix [row_blocks rows, column_blocks columns] of float32 as [row_blocks padded_rows,
/// column_blocks padded_columns] of `element`: every block padded with zeros, block k of the rows
/// being block row_order[k] of what is read. Padded columns are a multiple of 4, `out` is aligned
/// to 16 bytes.
struct PadMatrix {
  const float* in;
  void* out;
  Element element;
  std::int32_t row_blocks, rows, padded_rows;
  std::int32_t row_order[4];
  std::int32_t column_blocks, columns, padded_columns;

  bool operator==(const PadMatrix&) const = default;
};
void pad_matrix(cudaStream_t stream, const PadMatrix& args);

/// [slots, Hp] out: what the gate kernels add, W's and R's biases [G H] in one where they meet.
struct SumBiases {
  const float *bias_ih, *bias_hh;
  float* out;
  std::int32_t units, padded;
};
void sum_biases(cudaStream_t stream, const GateSlots& slots, const SumBiases& args);

/// States of up to kMostCells cells, each [N, H] as given and [N, Hp] inside.
struct StateCopies {
  struct Cell {
    float* given;        // null: zeros in, nowhere out
    void* padded;        // of the element type; null: none
    float* also_padded;  // the same in float32, or null
  };
  std::int32_t batch, units, padded, cells;
  Cell cell[kMostCells];
};
/// Into the padded form, `element` being the type of Cell::padded.
void pad_states(cudaStream_t stream, Element element, const StateCopies& args);
/// From Cell::also_padded to Cell::given.
void unpad_states(cudaStream_t stream, const StateCopies& args);

/// out [count]: uniform in [-limit, limit], a function of key and index.
void fill_random(cudaStream_t stream, float* out, std::int64_t count, std::uint64_t key,
                 float limit);

/// Sums over the rows of dgates [rows, slots Hp], in an order that depends on the number of rows
/// alone. Either output [G H] may be null.
struct BiasGradients {
  const void* dgates;
  Element element;
  std::int64_t rows;
  std::int32_t units, padded;
  float *dbias_ih, *dbias_hh;
};
void bias_gradients(cudaStream_t stream, const GateSlots& slots, const BiasGradients& args);

}  // namespace unroll::gpu
