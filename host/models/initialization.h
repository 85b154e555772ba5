/// How a model's parameters start.
#pragma once

#include <optional>

namespace unroll {

struct Initialization {
  /// > 0: every parameter uniform in +-range, biases too, but gains are 1. 0: embedding and decoder
  /// uniform in +-0.1, W and a projection by Xavier, R orthogonal, biases zero.
  double range = 0;
  /// LSTM: where the forget gate's bias starts, if not as the other biases do.
  std::optional<double> forget_bias;

  static constexpr double kTableRange = 0.1;
  /// The range of the embedding and of a decoder's matrix.
  double table_range() const { return range > 0 ? range : kTableRange; }
};

}  // namespace unroll
