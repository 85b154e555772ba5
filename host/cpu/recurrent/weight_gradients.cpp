/// The gradients of a cell's parameters and of its input, from those of its gates at all timesteps.
#include "host/cpu/recurrent/cell_backward.h"
#include "host/cpu/row_sum.h"

#include <cstring>

namespace unroll::host {

void CellBackward::weight_gradients(const Matrix& x) const {
  const cells::CellProgram& program = stack_.program;
  const RecurrentWeights& to = args_.dweights[cell_.index];
  for (int k = 0; k < program.gates; ++k) {
    gate_weight_gradient(to.weight_ih, k, program.first_x + k, x);
    sum_rows(to.bias_ih, k, dgates(0, program.first_x_bias() + k), nullptr);
  }
  const float* const h_prev = memory_ + cell_.h + (cell_.reverse ? stack_.h_size(cell_) : 0);
  for (int p = 0; p < program.phase_count; ++p) {
    const cells::Phase& phase = program.phases[p];
    const Matrix read{phase.of_reset ? memory_ + cell_.reset_h : h_prev, cell_.padded_width};
    for (int k = 0; k < phase.count; ++k) {
      gate_weight_gradient(to.weight_hh, program.gate_of_h(phase, k), phase.first + k, read);
      sum_rows(to.bias_hh, program.gate_of_h(phase, k), dgates(0, program.first_h_bias(phase) + k),
               nullptr);
    }
  }
  if (stack_.has_projection()) projection_gradient(to.weight_hr);
  if (program.is_normalised) normalization_gradients(to);
}

/// The rows of one gate: gradients of `slot` times what W or R read.
void CellBackward::gate_weight_gradient(const View& to, int gate, int slot,
                                        const Matrix& read) const {
  if (!to) return;
  const std::int64_t columns = to.shape[1];
  stack_.device.multiply(Gemm{cell_.units, columns, stack_.rows(), dgates(0, slot),
                              stack_.gate_row(cell_), true, read.data, read.ld, false,
                              to.as<float>() + gate * cell_.units * columns, columns, false});
}

void CellBackward::projection_gradient(const View& to) const {
  if (!to) return;
  stack_.device.multiply(Gemm{cell_.width, cell_.units, stack_.rows(), dh(cell_.reverse ? 0 : 1),
                              cell_.padded_width, true, memory_ + cell_.output, cell_.padded, false,
                              to.as<float>(), cell_.units, false});
}

void CellBackward::normalization_gradients(const RecurrentWeights& to) const {
  const int gates = stack_.program.gates;
  const float* const values = memory_ + cell_.gates;
  for (int k = 0; k < gates; ++k) {
    const float* const d = dgates(0, 2 * gates + k);
    sum_rows(to.gain_hh, k, d, values + k * cell_.padded);
    sum_rows(to.gain_ih, k, d, values + (gates + k) * cell_.padded);
  }
  sum_c_rows(to.gain_c, memory_ + cell_.c_normal);
  sum_c_rows(to.bias_c, nullptr);
}

/// to[gate] = sum of `dgates`, times `factor` if there is one, over timesteps and sequences.
void CellBackward::sum_rows(const View& to, int gate, const float* dgates,
                            const float* factor) const {
  if (!to) return;
  float* const sum = to.as<float>() + gate * cell_.units;
  stack_.device.pool.parallel_for(
      cell_.units, kUnitBlock, [&](std::int64_t begin, std::int64_t end) {
        std::memset(sum + begin, 0, std::size_t(end - begin) * sizeof(float));
        add_rows({dgates + begin, stack_.rows(), end - begin, stack_.gate_row(cell_), sum + begin,
                  factor ? factor + begin : nullptr});
      });
}

/// The same for the gradient of gain_c n(c) + bias_c.
void CellBackward::sum_c_rows(const View& to, const float* factor) const {
  if (!to) return;
  auto* const sum = to.as<float>();
  std::memset(sum, 0, to.bytes());
  add_rows(
      {scratch_ + stack_.scratch.dc_scaled, stack_.rows(), cell_.units, cell_.padded, sum, factor});
}

void CellBackward::input_gradient(float* dx) const {
  const auto* const weight_ih = args_.weights[cell_.index].weight_ih.as<float>();
  for (int k = 0; k < stack_.program.gates; ++k)
    stack_.device.multiply(Gemm{stack_.rows(), cell_.input, cell_.units,
                                dgates(0, stack_.program.first_x + k), stack_.gate_row(cell_),
                                false, weight_ih + k * cell_.units * cell_.input, cell_.input,
                                false, dx, cell_.input, cell_.reverse || k > 0});
}

}  // namespace unroll::host
