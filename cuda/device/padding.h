/// Weights in the form that kernels and products read: rows and columns padded with zeros, in the
/// element type of products, and the two biases of a gate added up.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/kernels/element.h"
#include "unroll/recurrent_spec.h"

namespace unroll::gpu {

/// The memory order of a cell's gates. W feeds the gates from slot `first_x` to the last, in
/// PyTorch's order; R feeds those of `parts`.
struct GateSlots {
  /// R's slots [slot, slot + count) are PyTorch's gates from `gate` on. They multiply h_{t-1} or,
  /// in a GRU of the `before` form, r h_{t-1}.
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

/// Copies a float32 matrix [row_blocks rows, column_blocks columns] to [row_blocks padded_rows,
/// column_blocks padded_columns] of `element`. Every block is padded with zeros; block k of the
/// rows is block row_order[k] of the source. Padded columns are a multiple of 4, `out` is aligned
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

/// [slots, Hp] out: the biases that the gate kernels add: W's plus R's [G H] where a slot has both.
struct SumBiases {
  const float *bias_ih, *bias_hh;
  float* out;
  std::int32_t units, padded;
};
void sum_biases(cudaStream_t stream, const GateSlots& slots, const SumBiases& args);

}  // namespace unroll::gpu
