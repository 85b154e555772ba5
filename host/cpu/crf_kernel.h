/// The loops of a linear-chain conditional random field over one sequence, by instruction set (see
/// isa.h). unroll/kernels/crf.h has the formulas.
#pragma once

#include <cstdint>

namespace unroll::host {

/// One sequence. Vectors over the tags that only these kernels see are padded to `stride`, and
/// padding never wins a maximum.
struct ChainShape {
  std::int64_t tags, stride;  // K, and K rounded up to a multiple of 16
  std::int64_t steps;         // L >= 1: of this sequence
  std::int64_t row;           // from a timestep's [K] of this sequence to the next: N K
  const float* transitions;   // [K, K]
};

struct ChainForward {
  ChainShape shape;
  const float *scores, *start, *end;
  const float* matrix;  // [K, stride]: E, and 1 in the padding
  const float* shift;   // [stride]: c, and -inf in the padding
  float *alpha, *sums;  // out, or null
  float* work;          // [5, stride]
};

struct ChainBackward {
  ChainShape shape;
  const float *alpha, *sums, *end;
  const float* matrix;       // [K, stride]: E transposed, and 0 in the padding
  const std::int32_t* tags;  // of this sequence, `batch` apart
  std::int64_t batch;        // N
  float dloss;
  float* dscores;           // out
  float *left, *right;      // out: e^alpha; dloss r, undefined at t = 0
  float* exact;             // out, where has_exact: what pair_gradients() adds
  std::int32_t* has_exact;  // `batch` apart: set to 1 where a column had no sum
  float* work;              // [5, stride]
};

struct ChainDecode {
  ChainShape shape;
  const float *scores, *start, *end;
  const float* matrix;  // [K, stride]: transitions, and -inf in the padding
  std::int32_t* tags;   // out, `batch` apart
  std::int64_t batch;
  float* where;  // [L, stride]: the tag before, as a float
  float* work;   // [2, stride]
};

/// dtransitions[j] += dloss e^(alpha + transitions[j] + exact[j])
struct PairGradients {
  std::int64_t tags;
  float alpha, dloss;
  const float *transitions, *exact;
  float* dtransitions;
};

struct ChainKernels {
  double (*forward)(const ChainForward&);  // returns ln Z
  void (*backward)(const ChainBackward&);
  void (*decode)(const ChainDecode&);
  /// y = e^(x - shift)
  void (*exp_row)(const float* x, const float* shift, float* y, std::int64_t n);
  void (*pair_gradients)(const PairGradients&);
};

namespace avx512 {
extern const ChainKernels kChainKernels;
}
namespace avx2 {
extern const ChainKernels kChainKernels;
}
namespace baseline {
extern const ChainKernels kChainKernels;
}

}  // namespace unroll::host
