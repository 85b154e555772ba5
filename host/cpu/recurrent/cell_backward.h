/// The backward pass of one cell of a recurrent stack.
#pragma once

#include "host/cpu/recurrent/stack.h"

namespace unroll::host {

class CellBackward {
 public:
  /// `scratch`: laid out as Stack::Scratch.
  CellBackward(const Stack& stack, const CellPlan& cell, const RecurrentBackward& args,
               float* scratch);

  /// x: the cell's input [T N, I]. dy: gradient of the layer's output, or null: zero. dx: gradient
  /// of the layer's input, or null: not wanted; cells but the first of a layer add to it.
  void run(const Matrix& x, const float* dy, float* dx) const;

 private:
  void start_gradients(const float* dy) const;
  void step(std::int64_t t, const Share& share) const;
  GateArgs gate_args(std::int64_t t, const Region& region) const;
  void multiply_output_gradient(std::int64_t t, const Share& share) const;
  void gate_gradients(int phase, std::int64_t t, const GateArgs& a) const;
  void normalized_gradients(const GateArgs& a) const;
  void round_gradients(const cells::Phase& phase, const GateArgs& a) const;
  void multiply_gradients(const cells::Phase& phase, std::int64_t t, const Share& share) const;
  void pass_on_finished(std::int64_t t, const Share& share) const;

  void weight_gradients(const Matrix& x) const;
  void gate_weight_gradient(const View& to, int gate, int slot, const Matrix& read) const;
  void projection_gradient(const View& to) const;
  void normalization_gradients(const RecurrentWeights& to) const;
  void sum_rows(const View& to, int gate, const float* dgates, const float* factor) const;
  void sum_c_rows(const View& to, const float* factor) const;
  void input_gradient(float* dx) const;

  float* dgates(std::int64_t t, int slot) const;
  float* dh(std::int64_t place) const;

  const Stack& stack_;
  const CellPlan& cell_;
  const RecurrentBackward& args_;
  float* memory_;  // the reserve, which is only read
  float* scratch_;
  const GateKernels kernels_;
  const std::int32_t* lengths_;  // null: no sequence ends early
};

}  // namespace unroll::host
