/// Where a parameter's elements go in its copy. pad_matrix() and sum_biases() copy whole tensors;
/// this writes the few elements that one optimiser thread has just computed.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/device/variable_copies.h"
#include "cuda/kernels/pack.cuh"

namespace unroll::gpu {

/// The MatrixCopy of a parameter, or the BiasCopy of two biases, in which each gate is a block.
struct CopyTarget {
  void* out = nullptr;                   // null: no copy
  std::int32_t rows, padded_rows;        // per block
  std::int32_t columns, padded_columns;  // per block
  std::uint8_t column_blocks;
  std::uint8_t place[cells::kMostGates];  // where the copy has each block of the parameter's rows
  std::uint8_t first_x;  // for biases: the place of bias_ih's first gate; `place` is for bias_hh
  Element element;

  /// Writes the parameter's elements from i on.
  template <int width>
  __device__ void write(std::int64_t i, const Pack<float, width>& values) const {
    const auto row_elements = std::uint32_t(column_blocks * columns), at = std::uint32_t(i);
    std::uint32_t row = at / row_elements, column = at % row_elements;
    // Narrower writes if a row ends within the pack or does not begin at a multiple of it.
    if (columns % width == 0) return write_at(row, column, values);
    constexpr int kPart = width > 2 ? 2 : 1;
    const auto write_parts = [&]<int part>() {
#pragma unroll
      for (int k = 0; k < width; k += part) {
        Pack<float, part> some;
#pragma unroll
        for (int j = 0; j < part; ++j) some.v[j] = values.v[k + j];
        write_at(row, column, some);
        column += part;
        if (column == row_elements) {
          column = 0;
          ++row;
        }
      }
    };
    if (columns % kPart == 0)
      write_parts.template operator()<kPart>();
    else
      write_parts.template operator()<1>();
  }

  __device__ void write_sum(std::int64_t i, float bias_ih, float bias_hh) const {
    const int gate = int(i) / rows, unit = int(i) % rows;
    float* const sums = static_cast<float*>(out) + unit;
    const int x = first_x + gate, h = place[gate];
    sums[x * padded_rows] = x == h ? bias_ih + bias_hh : bias_ih;
    if (x != h) sums[h * padded_rows] = 0.0F + bias_hh;  // the same bits as sum_biases()
  }

 private:
  template <int width>
  __device__ void write_at(std::uint32_t row, std::uint32_t column,
                           const Pack<float, width>& values) const {
    int row_block = 0, column_block = 0;
    for (; row >= std::uint32_t(rows); ++row_block) row -= std::uint32_t(rows);
    for (; column >= std::uint32_t(columns); ++column_block) column -= std::uint32_t(columns);
    const std::int64_t to =
        (std::int64_t(place[row_block]) * padded_rows + row) * column_blocks * padded_columns +
        std::int64_t(column_block) * padded_columns + column;
    if (element == Element::kFloat32)
      store_rounded(static_cast<float*>(out) + to, values);
    else
      store_rounded(static_cast<__nv_bfloat16*>(out) + to, values);
  }
};

inline CopyTarget target_of(const MatrixCopy& copy) {
  const PadMatrix& form = copy.form;
  CopyTarget target{.out = copy.out,
                    .rows = form.rows,
                    .padded_rows = form.padded_rows,
                    .columns = form.columns,
                    .padded_columns = form.padded_columns,
                    .column_blocks = std::uint8_t(form.column_blocks),
                    .place = {},
                    .first_x = 0,
                    .element = form.element};
  for (int k = 0; k < form.row_blocks; ++k) target.place[form.row_order[k]] = std::uint8_t(k);
  return target;
}

inline CopyTarget target_of(const BiasCopy& copy) {
  const cells::CellProgram& program = copy.program;
  CopyTarget target{.out = copy.out,
                    .rows = copy.units,
                    .padded_rows = copy.padded,
                    .columns = 1,
                    .padded_columns = 1,
                    .column_blocks = 1,
                    .place = {},
                    .first_x = std::uint8_t(program.first_x_bias()),
                    .element = Element::kFloat32};
  for (int p = 0; p < program.phase_count; ++p) {
    const cells::Phase& phase = program.phases[p];
    for (int k = 0; k < phase.count; ++k)
      target.place[program.gate_of_h(phase, k)] = std::uint8_t(program.first_h_bias(phase) + k);
  }
  return target;
}

}  // namespace unroll::gpu
