/// That an implementation computes what it is timed for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "host/bench/recurrent_node.h"

namespace unroll::benchmark {

/// A result was not what it must be: nothing that is timed afterwards would mean anything.
struct Mismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// How far results may be from float64, |difference| / |value| of whole tensors: `outputs`, and for
/// gradients `gradients`.
struct ErrorLimits {
  double outputs, gradients;
};
/// `unit`: the largest relative error of rounding an operand of a product; 2^-24 for float32.
ErrorLimits error_limits(const StackShape& shape, double unit);

/// The stack's float64 results for a part of the case: the first and the last sequence, over as
/// many of the first timesteps as take a moment. Where nothing else has a gradient, these are all
/// of the weights' gradients too.
class PartialReference {
 public:
  /// `inputs` as fill_inputs() left them; what they are is kept.
  PartialReference(Backend& backend, const StackShape& shape, const StackTensors& inputs);

  std::int64_t steps() const { return steps_; }

  /// Runs both passes of the node with a loss that reads that part alone and compares. The node's
  /// gradient of y is then what it was.
  /// Errors    Mismatch: node, tensor, distance, limit. NaN is one.
  void check(RecurrentNode& node, const std::string& name, const ErrorLimits& limits) const;

 private:
  const StackShape& shape_;
  std::int64_t steps_;
  std::vector<std::int64_t> sequences_;
  std::vector<float> dy_, part_dy_;           // [T, B, H_L]
  std::vector<std::vector<float>> expected_;  // in the order of StackTensors::all(); of y, x and
                                              // states the part
};

/// |a - b| / |b| of tensors in the memory of one device; |a| if b is zero.
double relative_distance(Backend& backend, const View& a, const View& b);

/// Runs both passes of both nodes and compares all outputs.
/// Errors    Mismatch.
void check_equal(RecurrentNode& node, const std::string& name, RecurrentNode& like,
                 const std::string& like_name, const ErrorLimits& limits);

/// Calls `work`, which runs both passes of the node, twice, and compares all outputs: so what a
/// graph does that it records the second time is what it did the first time.
/// Errors    Mismatch.
void check_repeats(RecurrentNode& node, const std::string& name, const ErrorLimits& limits,
                   const std::function<void()>& work);

}  // namespace unroll::benchmark
