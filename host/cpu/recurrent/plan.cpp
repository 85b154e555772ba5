/// A recurrent stack on the CPU: layer after layer, and in a layer cell after cell. What a cell
/// does is in cell_forward.cpp and cell_backward.cpp.
#include "host/cpu/recurrent/plan.h"

#include <cstring>

#include "host/cpu/dropout.h"
#include "host/cpu/recurrent/cell_backward.h"
#include "host/cpu/recurrent/cell_forward.h"
#include "host/cpu/recurrent/stack.h"
#include "host/cpu/subnormals.h"

namespace unroll::host {
namespace {

/// The rows of one gate as a matrix, with the version of the whole weight.
View gate_rows(const View& weight, int gate, std::int64_t units) {
  View rows = weight;
  rows.shape[0] = units;
  rows.data = weight.as<float>() + gate * units * weight.shape[1];
  return rows;
}

class CpuRecurrentPlan final : public RecurrentPlan {
 public:
  CpuRecurrentPlan(Device& device, const RecurrentArgs& args) : stack_(device, args) {}

  std::string algorithm() const override { return "stepwise"; }

  std::size_t reserve_bytes() const override {
    return stack_.args.training ? std::size_t(stack_.reserve_size) * sizeof(float) : 0;
  }

  std::size_t scratch_bytes() const override {
    return std::size_t(stack_.args.training ? stack_.scratch.size : stack_.reserve_size) *
           sizeof(float);
  }

  void prepare(std::span<const RecurrentWeights> weights) override {
    for (LayerPlan& layer : stack_.layers)
      for (CellPlan& cell : layer.cells) pack_weights(cell, weights[cell.index]);
  }

  void forward(const RecurrentForward& args) override {
    const FlushSubnormals flush;
    const View& where = stack_.args.training ? args.reserve : args.scratch;
    float* memory = reinterpret_cast<float*>(where.as<std::byte>());
    for (std::size_t layer = 0; layer < stack_.layers.size(); ++layer) {
      join_layer_input(layer, args.step, memory);
      const Matrix x = stack_.layer_input(layer, args.x, memory);
      for (const CellPlan& cell : stack_.layers[layer].cells) {
        copy_vectors(cell, args.weights[cell.index]);
        CellForward(stack_, cell, args, memory).run(x);
      }
    }
    if (args.y) join_outputs(stack_.layers.size() - 1, args.lengths, memory, args.y.as<float>());
  }

  void backward(const RecurrentBackward& args) override {
    const FlushSubnormals flush;
    const auto* memory = reinterpret_cast<const float*>(args.reserve.as<std::byte>());
    auto* scratch = reinterpret_cast<float*>(args.scratch.as<std::byte>());
    const float* dy = args.dy ? args.dy.as<float>() : nullptr;
    for (std::size_t layer = stack_.layers.size(); layer-- > 0;) {
      const LayerPlan& plan = stack_.layers[layer];
      const Matrix x = stack_.layer_input(layer, args.x, memory);
      float* dx = layer > 0 ? scratch + stack_.scratch.dlayer[layer % 2]
                  : args.dx ? args.dx.as<float>()
                            : nullptr;
      for (const CellPlan& cell : plan.cells)
        CellBackward(stack_, cell, args, scratch).run(x, dy, dx);
      if (layer > 0 && stack_.dropout() > 0) drop(layer, args.step, dx);
      dy = dx;
    }
  }

 private:
  void pack_weights(CellPlan& cell, const RecurrentWeights& w) {
    const cells::CellProgram& program = stack_.program;
    Device& device = stack_.device;
    const std::int64_t units = cell.units, width = cell.width;
    device.packed(w.weight_ih, {cell.input, units, program.gates, kUnitBlock}, cell.w_ih);
    for (int p = 0; p < program.phase_count; ++p)
      for (int k = 0; k < program.phases[p].count; ++k) {
        const View rows = gate_rows(w.weight_hh, program.gate_of_h(program.phases[p], k), units);
        const int slot = program.phases[p].first + k;
        device.packed(rows, {width, units, 1, kUnitBlock, true}, cell.w_hh[slot]);
        if (stack_.args.training)
          device.packed(rows, {units, width, 1, kUnitBlock, false}, cell.w_hh_back[slot]);
      }
    if (!stack_.has_projection()) return;
    device.packed(w.weight_hr, {units, width, 1, kUnitBlock, true}, cell.w_hr);
    if (stack_.args.training)
      device.packed(w.weight_hr, {width, units, 1, kUnitBlock, false}, cell.w_hr_back);
  }

  /// Biases and gains in their padded form. A slot's bias is W's plus R's if it has both.
  void copy_vectors(const CellPlan& cell, const RecurrentWeights& w) const {
    const cells::CellProgram& program = stack_.program;
    auto* bias = static_cast<float*>(cell.bias.get());
    std::memset(bias, 0, std::size_t(stack_.gate_row(cell)) * sizeof(float));
    const auto add = [&](const View& from, int block, float* to, int slot) {
      row_kernels().accumulate(from.as<float>() + block * cell.units, to + slot * cell.padded,
                               cell.units);
    };
    for (int k = 0; k < program.gates; ++k) add(w.bias_ih, k, bias, program.first_x_bias() + k);
    for (int p = 0; p < program.phase_count; ++p)
      for (int k = 0; k < program.phases[p].count; ++k)
        add(w.bias_hh, program.gate_of_h(program.phases[p], k), bias,
            program.first_h_bias(program.phases[p]) + k);
    if (!program.is_normalised) return;
    auto* gains = static_cast<float*>(cell.gains.get());
    const int count = program.gates;
    std::memset(gains, 0, std::size_t((2 * count + 2) * cell.padded) * sizeof(float));
    for (int k = 0; k < count; ++k) {
      add(w.gain_hh, k, gains, k);
      add(w.gain_ih, k, gains, count + k);
    }
    add(w.gain_c, 0, gains, 2 * count);
    add(w.bias_c, 0, gains, 2 * count + 1);
  }

  /// In a layer that does not read its input in place: the outputs of the layer below side by side,
  /// after dropout if any.
  void join_layer_input(std::size_t layer, const View& step, float* memory) const {
    const LayerPlan& plan = stack_.layers[layer];
    if (plan.x < 0) return;
    join_outputs(layer - 1, {}, memory, memory + plan.x);
    if (stack_.dropout() > 0) drop(layer, step, memory + plan.x);
  }

  /// Dropout of a layer's input, or of its gradient, in place.
  void drop(std::size_t layer, const View& step, float* x) const {
    apply_dropout(stack_.device.pool,
                  {x, x, stack_.rows() * stack_.layers[layer].input, stack_.dropout(),
                   stack_.args.dropout_key + layer - 1, step.as<std::int64_t>()});
  }

  /// to [T, N, D R]: h_t of all directions of a layer, zero past the end of a sequence.
  void join_outputs(std::size_t layer, const View& lengths, const float* memory, float* to) const {
    const auto& cells = stack_.layers[layer].cells;
    const std::int64_t width = cells.front().width, batch = stack_.args.batch;
    const std::int32_t* length = lengths ? lengths.as<std::int32_t>() : nullptr;
    const auto bytes = std::size_t(width) * sizeof(float);
    stack_.device.pool.parallel_for(stack_.rows(), 64, [&](std::int64_t begin, std::int64_t end) {
      float* out = to + begin * width * std::int64_t(cells.size());
      for (std::int64_t row = begin; row < end; ++row)
        for (const CellPlan& cell : cells) {
          const float* h =
              memory + cell.h + (cell.reverse ? 0 : stack_.h_size(cell)) + row * cell.padded_width;
          if (length && row / batch >= length[row % batch])
            std::memset(out, 0, bytes);
          else
            std::memcpy(out, h, bytes);
          out += width;
        }
    });
  }

  Stack stack_;
};

}  // namespace

std::unique_ptr<RecurrentPlan> make_recurrent_plan(Device& device, const RecurrentArgs& args) {
  return std::make_unique<CpuRecurrentPlan>(device, args);
}

}  // namespace unroll::host
