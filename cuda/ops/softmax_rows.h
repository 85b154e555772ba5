/// The kernels of the loss node between its products: all work that goes row by row, and the sums.
#pragma once

#include <cstdint>

#include "cuda/device/device.h"

namespace unroll::gpu {

/// A factor that is known when the work is queued, or that the device computes.
struct LossScale {
  float value = 1;
  const float* on_device = nullptr;  // [1], used instead of value if set
};

/// One chunk of m rows. Null outputs are not computed.
struct SoftmaxRows {
  std::int64_t rows, classes;  // m, V
  std::int64_t stride;         // Vp >= V: row stride of the logits; a multiple of 8
  std::int64_t ignored_id;
  const float* bias;            // [V]
  const std::int32_t* targets;  // [m]
  const float* row_weights;     // [m], or null: ones
  LossScale scale;
  const float* logits;  // [m, Vp] in: without bias; columns past V are not read
  void* dlogits;        // [m, Vp] out: d loss / d logits, zero past V; may be `logits` if float32
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
  bool add;     // to the values in sums
};
void column_sums(Device& device, const ColumnSums& args);

/// scale = 1 / (sum of the weights of the rows whose target is not ignored).
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
