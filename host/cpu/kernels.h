/// The inner loops of the CPU backend, by instruction set: one table of functions per kernel file,
/// defined by the three compilations of that file (see isa.h). All run on the calling thread, on
/// contiguous float32, and add up in an order that depends only on the arguments.
#pragma once

#include <cstdint>

#include "unroll/kernels/tensor.h"
#include "unroll/optimizer_spec.h"
#include "unroll/recurrent_spec.h"

namespace unroll::host {

struct ElementwiseKernels {
  /// out[i] = kind(a[i a_step], b[i b_step]) for i < n, of a kind that takes and gives float32. A
  /// step is 1, or 0 for a broadcast value.
  void (*map)(ElementwiseKind kind, std::int64_t n, const float* a, int a_step, const float* b,
              int b_step, float* out, float alpha, float beta);
};

/// Units are laid out in blocks of this many, the last one padded. So loops over units have no
/// remainder on any instruction set.
inline constexpr std::int64_t kUnitBlock = 16;

/// The gate arithmetic of one phase of a timestep (unroll/cells/program.h) over `rows` sequences
/// and `units` hidden units, a multiple of kUnitBlock. Rows of gates are `gate_row` floats apart
/// and hold one block of `gate_stride` floats per slot; rows of everything else are `gate_stride`
/// apart. Pointers are to the first unit. Those that the cell does not need are null.
struct GateArgs {
  std::int64_t rows, units;
  std::int64_t first_row;  // of the minibatch
  std::int64_t gate_row, gate_stride;
  const float* bias;    // [slots, gate_stride], forward
  float* gates;         // forward in: sums of products, out: activations. Backward in
  const float* prev;    // c_{t-1}, or h_{t-1} in a cell without c
  float* state;         // c_t, if there is one: forward out, backward in
  float* result;        // forward out: h_t before a projection, or r h_{t-1}
  float* dgates;        // backward out
  const float* dh;      // backward in: gradient of h_t
  float* dh_prev;       // backward: the direct part of h_{t-1}'s gradient is added
  float* dc;            // backward in and out
  const float* dreset;  // backward in: gradient of r h_{t-1}
  // Layer norm:
  const float* gains;  // [2 G + 2, gate_stride]: of R h, of W x, of c; then the bias of c
  float* scales;       // [rows, kNormScales]: forward out, backward in
  float* c_normal;     // n(c). Forward: out of the first function, as c; in of the second
  float* dc_scaled;    // backward out: gradient of gain n(c) + bias
  float* dc_normal;    // backward: gradient of n(c), out of the second function; of c, in of the
                       // first
};

/// The gate arithmetic of a cell: one function per phase. With layer norm there is one phase with
/// two functions: before and after c is normalised.
struct GateKernels {
  void (*forward[2])(const GateArgs&);
  void (*backward[2])(const GateArgs&);
};
struct GateKernelTable {
  GateKernels (*of)(const RecurrentSpec& spec);
};

struct RowKernels {
  float (*max)(const float* x, std::int64_t n);         // ignores NaN
  float (*max_or_nan)(const float* x, std::int64_t n);  // NaN if there is one
  float (*sum)(const float* x, std::int64_t n);
  float (*dot)(const float* x, const float* y, std::int64_t n);
  /// x += bias; returns the maximum.
  float (*add_bias_and_max)(float* x, const float* bias, std::int64_t n);
  /// Returns the sum of e^(x - shift), written to y unless y is null. y may be x.
  float (*exp_sum)(const float* x, float shift, float* y, std::int64_t n);
  void (*scale)(float* x, float factor, std::int64_t n);
  /// y = (x - first) - second
  void (*shift)(const float* x, float first, float second, float* y, std::int64_t n);
  /// dx = y (dy - dot)
  void (*softmax_gradient)(const float* y, const float* dy, float dot, float* dx, std::int64_t n);
  /// dx = dy - e^y sum
  void (*log_softmax_gradient)(const float* y, const float* dy, float sum, float* dx,
                               std::int64_t n);
  /// y += x
  void (*accumulate)(const float* x, float* y, std::int64_t n);
  /// y += factor x
  void (*accumulate_scaled)(const float* x, float factor, float* y, std::int64_t n);
  /// y += a b
  void (*accumulate_product)(const float* a, const float* b, float* y, std::int64_t n);
  /// y = max(x, y), or NaN if either is NaN.
  void (*accumulate_max)(const float* x, float* y, std::int64_t n);
  float (*min_or_nan)(const float* x, std::int64_t n);  // NaN if there is one
  /// y = min(x, y), or NaN if either is NaN.
  void (*accumulate_min)(const float* x, float* y, std::int64_t n);
  /// Each becomes the nearest bfloat16.
  void (*round_to_bf16)(float* x, std::int64_t n);
};

/// The update of each element by one optimiser step; g is the gradient after scaling and clipping.
struct UpdateArgs {
  OptimizerKind kind;
  float learning_rate;
  float gradient_scale;  // from clipping by norm
  float clip_value;      // 0: off
  float weight_decay;
  float momentum, decay, beta1, beta2, epsilon;
  float correction1, correction2;  // Adam: 1 / (1 - beta1^t), 1 / (1 - beta2^t)
};

struct OptimizerKernels {
  /// Sum of squares, in float32 lanes.
  float (*sum_of_squares)(const float* x, std::int64_t n);
  /// A null gradient is zero. Slots may be null if the kind has none.
  void (*update)(const UpdateArgs& args, std::int64_t n, float* parameter, const float* gradient,
                 float* slot0, float* slot1);
};

const ElementwiseKernels& elementwise_kernels();
GateKernels gate_kernels(const RecurrentSpec& spec);
const RowKernels& row_kernels();
const OptimizerKernels& optimizer_kernels();

}  // namespace unroll::host
