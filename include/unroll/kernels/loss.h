/// Losses that hold no more of the logits than a chunk at a time. A backend plans them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "unroll/tensor.h"

namespace unroll {

/// What is known about a decoder + softmax + cross-entropy node when it is planned.
struct SoftmaxCrossEntropyArgs {
  std::int64_t rows, hidden, classes;  // M, H, V
  std::int64_t chunk_rows;             // rows of logits held at a time; 0: as many as suit the
                                       // device
  std::int64_t ignored_id;
  bool gradient = false;  // fill dh, dweight, dbias
};

/// loss = scale sum_i w_i (-ln p_i[target_i]), with p = softmax(h W^T + b), over the rows i whose
/// target is not ignored. With `mean`, scale is 1 / sum_i w_i. A target outside [0, V) that is not
/// the ignored id makes the loss NaN.
struct SoftmaxCrossEntropy {
  View h;            // [M, H]
  View weight;       // [V, H]
  View bias;         // [V]
  View targets;      // [M] int32
  View row_weights;  // [M], or empty: ones
  float scale = 1;
  bool mean = false;
  View loss;      // [1] out; like the following, empty where not wanted
  View log_prob;  // [M] out: ln p_i[target_i]; 0 where ignored
  View hit;       // [M] out: 1 if the target is the (first) best class, else 0
  View dh;        // [M, H] out, with gradient: d loss / d h
  View dweight;   // [V, H] out
  View dbias;     // [V] out
  View scratch;
};

class SoftmaxCrossEntropyPlan {
 public:
  virtual ~SoftmaxCrossEntropyPlan() = default;
  virtual std::size_t scratch_bytes() const = 0;
  virtual void prepare(const View& weight) = 0;  // as RecurrentPlan::prepare
  virtual void run(const SoftmaxCrossEntropy& args) = 0;
};

class LossKernels {
 public:
  virtual ~LossKernels() = default;
  virtual std::unique_ptr<SoftmaxCrossEntropyPlan> softmax_cross_entropy_plan(
      const SoftmaxCrossEntropyArgs& args) = 0;
};

}  // namespace unroll
