/// Checks that an implementation computes the function for which it is timed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "host/bench/recurrent_node.h"

namespace unroll::benchmark {

/// A result is wrong, so its time would mean nothing.
struct Mismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The largest allowed distance from float64, |difference| / |value| of whole tensors, for outputs
/// and for gradients.
struct ErrorLimits {
  double outputs, gradients;
};
/// `unit`: the largest relative error of rounding an operand of a product; 2^-24 for float32.
ErrorLimits error_limits(const StackShape& shape, double unit);

/// The float64 results of the stack for a part of the case: the first and the last sequence, over
/// as many of the first timesteps as take a moment. If the loss reads only this part, the gradients
/// of the weights are complete, too.
class PartialReference {
 public:
  /// `inputs`: as fill_inputs() filled them. It stores their values.
  PartialReference(Backend& backend, const StackShape& shape, const StackTensors& inputs);

  std::int64_t steps() const { return steps_; }

  /// Runs both passes of the node with a loss that reads only this part, and compares. Afterwards
  /// the node's gradient of y is restored.
  /// Errors    Mismatch: node, tensor, distance, limit. NaN is a mismatch.
  void check(RecurrentNode& node, const std::string& name, const ErrorLimits& limits) const;

 private:
  const StackShape& shape_;
  std::int64_t steps_;
  std::vector<std::int64_t> sequences_;
  std::vector<float> dy_, part_dy_;           // [T, B, H_L]
  std::vector<std::vector<float>> expected_;  // in the order of StackTensors::all(); only the part
                                              // of y, x and states
};

/// |a - b| / |b| of tensors in the memory of one device; |a| if b is zero.
double relative_distance(Backend& backend, const View& a, const View& b);

/// Runs both passes of both nodes and compares all outputs.
/// Errors    Mismatch.
void check_equal(RecurrentNode& node, const std::string& name, RecurrentNode& like,
                 const std::string& like_name, const ErrorLimits& limits);

/// Calls `work`, which runs both passes of the node, twice, and compares all outputs. So it checks
/// that a graph recorded by the second call does the same as the first call.
/// Errors    Mismatch.
void check_repeats(RecurrentNode& node, const std::string& name, const ErrorLimits& limits,
                   const std::function<void()>& work);

}  // namespace unroll::benchmark
