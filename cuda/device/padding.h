/// Weights in the form in which kernels and products read them: rows and columns padded with zeros,
/// in the products' element type, the two biases of a gate in one.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/kernels/element.h"
#include "unroll/recurrent_spec.h"

namespace unroll::gpu {

/// How a cell's gates lie in memory. W feeds the gates from slot `first_x` to the last, in
/// PyTorch's order; R feeds those of its parts.
struct GateSlots {
  /// R's slots [slot, slot + count) are PyTorch's gates from `gate` on, and multiply h_{t-1} or, of
  /// a GRU of the `before` form, r h_{t-1}.
  struct Part {
    int slot, count, gate;
    bool reset;
  };
  int slots, first_x;
  Part parts[2];
  int part_count;

  explicit GateSlots(const RecurrentSpec& spec);
  int x_slots() const { return slots - first_x; }
  int h_slots() const { return parts[part_count - 1].slot + parts[part_count - 1].count; }
};

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

}  // namespace unroll::gpu
