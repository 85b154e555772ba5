/// The kernels between the products of the loss node: everything done row by row, and the sums.
#pragma once

#include <cstdint>

#include "cuda/device/device.h"

namespace unroll::gpu {

/// A factor that is known when work is queued, or that the device computes.
struct LossScale {
  float value = 1;
  const float* on_device = nullptr;  // [1], in place of value
};

/// One chunk of m rows. Each output may be null: not wanted.
struct SoftmaxRows {
  std::int64_t rows, classes;  // m, V
  std::int64_t stride;         // Vp >= V: rows of logits are this far apart; a multiple of 8
  std::int64_t ignored_id;
  const float* bias;            // [V]
  const std::int32_t* targets;  // [m]
  const float* row_weights;     // [m], or null: ones
  LossScale scale;
  const float* logits;  // [m, Vp] in: without bias; what is past V is not read
  void* dlogits;        // [m, Vp] out: d loss / d logits, zero past V; as float32 it may be logits
  Element element;      // of dlogits
  float* losses;        // [m] out: weighted, before scaling
  float* log_prob;      // [m] out
  float* hit;           // [m] out
};
void softmax_rows(Device& device, const SoftmaxRows& args);

/// Sums over columns, each in the same order in every run.
struct ColumnSums {
  std::int64_t rows, columns, stride;
  const void* x;  // [rows, stride], the first `columns` of each row; stride a multiple of 4
  Element element;
  float* sums;  // [columns] out
  bool add;     // to what sums holds
};
void column_sums(Device& device, const ColumnSums& args);

/// scale = 1 / sum of the weights of the rows whose target is not ignored.
struct MeanScale {
  std::int64_t rows;
  std::int64_t ignored_id;
  const std::int32_t* targets;  // [M]
  const float* row_weights;     // [M], or null: ones
  float* scale;                 // [1] out
};
void mean_scale(Device& device, const MeanScale& args);

/// loss [1] = scale times the sum of losses [rows].
void total_loss(Device& device, std::int64_t rows, const float* losses, LossScale scale,
                float* loss);

}  // namespace unroll::gpu
