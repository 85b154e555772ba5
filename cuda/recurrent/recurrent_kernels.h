/// The kernels of a recurrent stack besides products and gates: they copy states into and out of
/// their padded form, and sum the gradients of the biases.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/recurrent/gates.h"

namespace unroll::gpu {

/// States of up to kMostCells cells: [N, W] at the seam, [N, Wp] inside. W is H for c, R for h.
struct StateCopies {
  struct Cell {
    float* given;        // null: read as zeros, not written
    void* padded;        // in the element type; null: none
    float* also_padded;  // the same in float32, or null
  };
  std::int32_t batch, width, padded, cells;
  Cell cell[kMostCells];
};
/// Copies into the padded form; `element` is the type of Cell::padded.
void pad_states(cudaStream_t stream, Element element, const StateCopies& args);
/// Copies Cell::also_padded to Cell::given.
void unpad_states(cudaStream_t stream, const StateCopies& args);

/// out [count]: uniform in [-limit, limit], a function of key and index.
struct RandomFill {
  float* out;
  std::int64_t count;
  std::uint64_t key;
  float limit;
};
void fill_random(cudaStream_t stream, const RandomFill& args);

/// Sums over the rows of dgates [rows, slots Hp], in an order that depends only on the number of
/// rows. Either output [G H] may be null.
struct BiasGradients {
  const void* dgates;
  Element element;
  std::int64_t rows;
  std::int32_t units, padded;
  float *dbias_ih, *dbias_hh;
};
void bias_gradients(cudaStream_t stream, const cells::CellProgram& program,
                    const BiasGradients& args);

}  // namespace unroll::gpu
