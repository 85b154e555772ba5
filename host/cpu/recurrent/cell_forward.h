/// The forward pass of one cell of a recurrent stack.
#pragma once

#include "host/cpu/recurrent/stack.h"

namespace unroll::host {

class CellForward {
 public:
  /// `memory`: the reserve, or in inference the scratch memory.
  CellForward(const Stack& stack, const CellPlan& cell, const RecurrentForward& args,
              float* memory);

  /// x: the cell's input [T N, I].
  void run(const Matrix& x) const;

 private:
  void multiply_input(const Matrix& x) const;
  void start_states() const;
  void step(std::int64_t t, const Share& share) const;
  void multiply_state(const cells::Phase& phase, std::int64_t t, const Share& share) const;
  void normalized_gates(const GateArgs& a) const;
  void project(std::int64_t t, const Share& share) const;
  void keep_finished(std::int64_t t, const Share& share) const;

  float* gates(std::int64_t t) const;
  float* h(std::int64_t place) const { return memory_ + cell_.h + place * stack_.h_size(cell_); }

  const Stack& stack_;
  const CellPlan& cell_;
  const RecurrentForward& args_;
  float* memory_;
  const GateKernels kernels_;
  const std::int32_t* lengths_;  // null: no sequence ends early
};

}  // namespace unroll::host
