/// The inner loops of the CPU backend, by instruction set: one table of functions per kernel file,
/// defined by the three compilations of that file (see isa.h). All run on the calling thread, on
/// contiguous float32, and add up in an order that depends only on the arguments.
#pragma once

#include <cstdint>

#include "unroll/backend.h"

namespace unroll::host {

struct ElementwiseKernels {
  /// out[i] = kind(a[i a_step], b[i b_step]) for i < n. A step is 1, or 0 for a broadcast value.
  void (*map)(ElementwiseKind kind, std::int64_t n, const float* a, int a_step, const float* b,
              int b_step, float* out, float alpha, float beta);
};

/// One timestep of gate arithmetic over `rows` sequences and `units` hidden units (a multiple of
/// kUnitBlock), after the matrix products. Rows of gates are `gate_row` floats apart and hold
/// blocks of `gate_stride` floats, one per gate; rows of states are `state_row` apart. Pointers are
/// to the first unit.
struct GateArgs {
  std::int64_t rows, units;
  std::int64_t gate_row, gate_stride, state_row;
  const float* bias;    // [gates, gate_stride], forward
  float* gates;         // forward in: sums of products, out: activations. Backward in
  float* dgates;        // backward out
  const float* h_prev;  // GRU
  const float* h;       // Elman, backward
  float* h_out;         // forward out
  const float* c_prev;  // LSTM
  float* c;             // LSTM: forward out, backward in
  float* reset_h;       // GRU before: r * h_prev, forward out
  float* dh;            // backward in: gradient of h_t
  float* dh_prev;       // GRU, backward: the direct path is added
  float* dc;            // LSTM, backward in and out
  float* dreset_h;      // GRU before, backward in: gradient of r * h_prev
};

/// Units are laid out in blocks of this many, the last one padded. So loops over units have no
/// remainder on any instruction set.
inline constexpr std::int64_t kUnitBlock = 16;

/// Gate blocks: Elman z; LSTM i, f, g, o; GRU before r, z, n; GRU after q, r, z, n. In the last,
/// both the gates that W feeds (r, z, n) and those that R feeds (q, r, z) are neighbours.
struct GateKernels {
  void (*rnn_forward[3])(const GateArgs&);  // tanh, ReLU, logistic
  void (*rnn_backward[3])(const GateArgs&);
  void (*lstm_forward)(const GateArgs&);
  void (*lstm_backward)(const GateArgs&);
  void (*gru_after_forward)(const GateArgs&);
  void (*gru_after_backward)(const GateArgs&);
  void (*gru_before_reset)(const GateArgs&);           // r, z and r * h_prev
  void (*gru_before_forward)(const GateArgs&);         // n and h
  void (*gru_before_backward)(const GateArgs&);        // dz, dn
  void (*gru_before_reset_backward)(const GateArgs&);  // dr
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
  /// y = max(x, y), or NaN if either is NaN.
  void (*accumulate_max)(const float* x, float* y, std::int64_t n);
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
const GateKernels& gate_kernels();
const RowKernels& row_kernels();
const OptimizerKernels& optimizer_kernels();

}  // namespace unroll::host
