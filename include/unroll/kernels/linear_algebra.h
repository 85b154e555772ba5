/// Kernels on square matrices, which a backend may lack. Each does a batch of B matrices. Results
/// do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "unroll/tensor.h"

namespace unroll {

struct InvertMatrices {
  View a;        // [B, N, N]
  View inverse;  // [B, N, N] out: NaN for a matrix that is singular
  View scratch;  // matrix_scratch_bytes(a's shape)
};

struct Determinants {
  View a;            // [B, N, N]
  View determinant;  // [B] out
  View scratch;      // matrix_scratch_bytes(a's shape)
};

class LinearAlgebraKernels {
 public:
  virtual ~LinearAlgebraKernels() = default;
  virtual std::size_t matrix_scratch_bytes(const Shape& a) const = 0;
  /// The number of the first singular matrix, where the device knows it when the call returns.
  virtual std::optional<std::int64_t> invert(const InvertMatrices& args) = 0;
  virtual void determinants(const Determinants& args) = 0;
};

}  // namespace unroll
