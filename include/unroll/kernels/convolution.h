/// Convolution by a library, which a backend may lack. The engine then multiplies windows that are
/// copied side by side.
#pragma once

#include <cstddef>
#include <cstdint>

#include "unroll/tensor.h"

namespace unroll {

/// y[n, f, oh, ow] is the sum over (c, kh, kw) of weight[f, c, kh, kw] times the element
/// (oh stride + kh dilation - padding_height, ow stride + kw dilation - padding_width) of x[n, c],
/// which is 0 outside of x.
struct ConvolutionSpec {
  /// What is computed of the other two; gradients have the shape of what they are of.
  enum class Result : std::uint8_t { kOutput, kInputGradient, kWeightGradient };
  Result result;
  Shape x, weight, y;  // [N, C, H, W], [F, C, KH, KW], [N, F, OH, OW]
  std::int64_t stride, dilation;
  std::int64_t padding_height, padding_width;
};

struct Convolution {
  View x, weight, y;  // the result is out, the other two are in
  View scratch;       // scratch_bytes()
};

class ConvolutionPlan {
 public:
  virtual ~ConvolutionPlan() = default;
  virtual std::size_t scratch_bytes() const = 0;
  /// Gives the same bits each time.
  virtual void run(const Convolution& args) = 0;
};

}  // namespace unroll
