/// A recurrent stack on the CPU. Per layer and direction there is one product W x over all
/// timesteps, then a loop over time in which every thread owns some hidden units (product with R,
/// gate arithmetic, one barrier). After the backward loop, dW, dR and dx take one product each.
/// Units are padded to kUnitBlock, so no inner loop has a remainder.
#include "host/cpu/recurrent.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "host/cpu/dropout.h"
#include "host/cpu/kernels.h"
#include "host/cpu/row_sum.h"
#include "host/cpu/subnormals.h"

namespace unroll::host {
namespace {

using Floats = std::int64_t;  // an offset or a size in floats

/// The memory order of a cell's gates, see GateKernels. W feeds `count` gates from slot `first_x`
/// on, R feeds the gates from slot 0 on. PyTorch's rows are in the order of W's slots.
struct GateLayout {
  int slots, count, first_x;
  int r_row[4];  // the PyTorch gate of R's k-th slot

  explicit GateLayout(const RecurrentSpec& spec)
      : slots(gates_of(spec.cell)), count(slots), first_x(0), r_row{0, 1, 2, 3} {
    if (spec.cell == CellKind::kGru && spec.reset == GruReset::kAfter) {
      slots = 4;
      first_x = 1;
      r_row[0] = 2;  // q = R_n h, then r, z
      r_row[1] = 0;
      r_row[2] = 1;
    }
  }
};

/// One layer in one direction.
struct CellPlan {
  std::int64_t input, units, padded;  // I, H, H rounded up to kUnitBlock
  bool reverse;
  // In the reserve:
  Floats gates;    // [T, N, slots, Hp]
  Floats h;        // [T + 1, N, Hp], the initial state first, or last in reverse
  Floats c;        // the same for an LSTM
  Floats reset_h;  // [T, N, Hp], GRU before
  // Kept from prepare():
  std::shared_ptr<PackedWeight> w_ih, w_hh[4], w_hh_back[4];
  std::shared_ptr<void> bias;  // [slots, Hp]

  std::int64_t state(std::int64_t batch) const { return batch * padded; }
};

struct LayerPlan {
  std::int64_t input;  // width of its input
  Floats x = -1;       // [T, N, input] in the reserve; -1: it is read in place
  std::vector<CellPlan> cells;
};

class CpuRecurrentPlan final : public RecurrentPlan {
 public:
  CpuRecurrentPlan(Device& device, const RecurrentArgs& args)
      : device_(device), args_(args), slots_(args.spec) {
    const std::int64_t rows = args.steps * args.batch;
    std::int64_t input = args.input, widest = 0;
    for (std::size_t layer = 0; layer < args.spec.hidden.size(); ++layer) {
      LayerPlan plan{input, -1, {}};
      if (layer > 0 && (args.spec.directions == 2 || dropout() > 0)) plan.x = take(rows * input);
      for (int direction = 0; direction < args.spec.directions; ++direction) {
        const std::int64_t units = args.spec.hidden[layer];
        CellPlan cell{input, units, round_up(units, kUnitBlock), direction == 1, 0, 0, 0, 0, {}, {},
                      {},    {}};
        cell.gates = take(rows * slots_.slots * cell.padded);
        cell.h = take((rows + args.batch) * cell.padded);
        if (is_lstm()) cell.c = take((rows + args.batch) * cell.padded);
        if (is_gru_before()) cell.reset_h = take(rows * cell.padded);
        cell.bias = aligned_memory(std::size_t(slots_.slots * cell.padded) * sizeof(float));
        largest_ = std::max(largest_, cell.padded);
        plan.cells.push_back(cell);
      }
      input = args.spec.directions * args.spec.hidden[layer];
      widest = std::max({widest, input, plan.input});
      layers_.push_back(std::move(plan));
    }
    // Backward: dh [T + 1, N, Hp], dgates [T, N, slots, Hp], dc of an LSTM or dreset_h of a GRU [N,
    // Hp], and the gradients of the outputs of two layers.
    dh_ = 0;
    dgates_ = dh_ + round_up((rows + args.batch) * largest_, 64);
    dstate_ = dgates_ + round_up(rows * slots_.slots * largest_, 64);
    dlayer_ = dstate_ + round_up(args.batch * largest_, 64);
    dlayer_size_ = round_up(rows * widest, 64);
    backward_size_ = dlayer_ + 2 * dlayer_size_;
  }

  std::string algorithm() const override { return "stepwise"; }

  std::size_t reserve_bytes() const override {
    return args_.training ? std::size_t(reserve_size_) * sizeof(float) : 0;
  }

  std::size_t scratch_bytes() const override {
    return std::size_t(args_.training ? backward_size_ : reserve_size_) * sizeof(float);
  }

  void prepare(std::span<const RecurrentWeights> weights) override {
    std::size_t next = 0;
    for (LayerPlan& layer : layers_)
      for (CellPlan& cell : layer.cells) prepare_cell(cell, weights[next++]);
  }

  void forward(const RecurrentForward& args) override {
    const FlushSubnormals flush;
    float* memory =
        reinterpret_cast<float*>((args_.training ? args.reserve : args.scratch).as<std::byte>());
    std::size_t index = 0;
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      const Matrix x = read_layer_input(layer, args.x, args.step, memory);
      const View c0 = is_lstm() ? args.c0[layer] : View();
      const View c_n = is_lstm() ? args.c_n[layer] : View();
      for (CellPlan& cell : layers_[layer].cells) {
        prepare_bias(cell, args.weights[index++]);
        forward_cell(cell, x, args.lengths, args.h0[layer], c0, args.h_n[layer], c_n, memory);
      }
    }
    if (args.y) join_outputs(layers_.size() - 1, args.lengths, memory, args.y.as<float>());
  }

  void backward(const RecurrentBackward& args) override {
    const FlushSubnormals flush;
    const auto* memory = reinterpret_cast<const float*>(args.reserve.as<std::byte>());
    auto* scratch = reinterpret_cast<float*>(args.scratch.as<std::byte>());
    const std::int64_t rows = args_.steps * args_.batch;
    const float* dy = args.dy ? args.dy.as<float>() : nullptr;
    for (std::size_t layer = layers_.size(); layer-- > 0;) {
      LayerPlan& plan = layers_[layer];
      const Matrix x = saved_layer_input(layer, args.x, memory);
      float* dx = layer > 0 ? scratch + dlayer_ + std::int64_t(layer % 2) * dlayer_size_
                  : args.dx ? args.dx.as<float>()
                            : nullptr;
      for (std::size_t k = 0; k < plan.cells.size(); ++k)
        backward_cell(layer, k, x, dy, dx, args, memory, scratch);
      if (layer > 0 && dropout() > 0)
        apply_dropout(device_.pool, {dx, dx, rows * plan.input, dropout(),
                                     args_.dropout_key + layer - 1, args.step.as<std::int64_t>()});
      dy = dx;
    }
  }

 private:
  struct Matrix {
    const float* data;
    std::int64_t ld;
  };

  float dropout() const { return args_.spec.dropout; }
  bool is_lstm() const { return args_.spec.cell == CellKind::kLstm; }
  bool is_gru_after() const {
    return args_.spec.cell == CellKind::kGru && args_.spec.reset == GruReset::kAfter;
  }
  bool is_gru_before() const {
    return args_.spec.cell == CellKind::kGru && args_.spec.reset == GruReset::kBefore;
  }

  Floats take(Floats size) {
    const Floats at = reserve_size_;
    reserve_size_ += round_up(size, 64);
    return at;
  }

  std::int64_t gate_row(const CellPlan& cell) const { return slots_.slots * cell.padded; }

  /// Calls body(begin, end) on every thread with its own units, inside one run of the pool.
  template <typename Body>
  void with_own_units(const CellPlan& cell, const Body& body) {
    device_.pool.run([&](int thread) {
      const Range units = split_range(cell.padded, kUnitBlock, thread, device_.pool.size());
      body(units.begin, units.end);
    });
  }

  // ---- weights

  void prepare_cell(CellPlan& cell, const RecurrentWeights& w) {
    const int gates = gates_of(args_.spec.cell);
    device_.packed(w.weight_ih, {cell.input, cell.units, gates, kUnitBlock}, cell.w_ih);
    for (int k = 0; k < gates; ++k) {
      const View rows = gate_rows(w.weight_hh, slots_.r_row[k], cell.units);
      device_.packed(rows, {cell.units, cell.units, 1, kUnitBlock, true}, cell.w_hh[k]);
      if (args_.training)
        device_.packed(rows, {cell.units, cell.units, 1, kUnitBlock, false}, cell.w_hh_back[k]);
    }
  }

  /// The rows of one gate as a matrix, with the version of the whole weight.
  static View gate_rows(const View& weight, int gate, std::int64_t units) {
    View rows = weight;
    rows.shape[0] = units;
    rows.data = weight.as<float>() + gate * units * weight.shape[1];
    return rows;
  }

  /// The biases that the gate kernels add: W's plus R's, except for the q of a GRU.
  void prepare_bias(const CellPlan& cell, const RecurrentWeights& w) const {
    auto* bias = static_cast<float*>(cell.bias.get());
    std::memset(bias, 0, std::size_t(gate_row(cell)) * sizeof(float));
    const auto add = [&](const View& from, int gate, int slot) {
      row_kernels().accumulate(from.as<float>() + gate * cell.units, bias + slot * cell.padded,
                               cell.units);
    };
    for (int k = 0; k < slots_.count; ++k) {
      add(w.bias_ih, k, slots_.first_x + k);
      add(w.bias_hh, slots_.r_row[k], k);
    }
  }

  // ---- forward

  /// The input of a layer: x, or the outputs of the layer below side by side, after dropout if any.
  Matrix read_layer_input(std::size_t layer, const View& x, const View& step, float* memory) {
    const LayerPlan& plan = layers_[layer];
    if (plan.x >= 0) {
      join_outputs(layer - 1, {}, memory, memory + plan.x);
      if (dropout() > 0)
        apply_dropout(device_.pool,
                      {memory + plan.x, memory + plan.x, args_.steps * args_.batch * plan.input,
                       dropout(), args_.dropout_key + layer - 1, step.as<std::int64_t>()});
    }
    return saved_layer_input(layer, x, memory);
  }

  Matrix saved_layer_input(std::size_t layer, const View& x, const float* memory) const {
    const LayerPlan& plan = layers_[layer];
    if (layer == 0) return {x.as<float>(), plan.input};
    if (plan.x >= 0) return {memory + plan.x, plan.input};
    const CellPlan& below = layers_[layer - 1].cells.front();
    return {memory + below.h + below.state(args_.batch), below.padded};
  }

  /// to [T, N, D H]: h_t of all directions of a layer, zero past the end of a sequence.
  void join_outputs(std::size_t layer, const View& lengths, const float* memory, float* to) {
    const auto& cells = layers_[layer].cells;
    const std::int64_t width = cells.front().units * std::int64_t(cells.size());
    const std::int32_t* length = lengths ? lengths.as<std::int32_t>() : nullptr;
    device_.pool.parallel_for(
        args_.steps * args_.batch, 64, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row)
            for (std::size_t k = 0; k < cells.size(); ++k) {
              const CellPlan& cell = cells[k];
              float* out = to + row * width + std::int64_t(k) * cell.units;
              const float* h = memory + cell.h + (cell.reverse ? 0 : cell.state(args_.batch)) +
                               row * cell.padded;
              const auto bytes = std::size_t(cell.units) * sizeof(float);
              if (length && row / args_.batch >= length[row % args_.batch])
                std::memset(out, 0, bytes);
              else
                std::memcpy(out, h, bytes);
            }
        });
  }

  /// Copies from [N, H] to [N, Hp] with zero padding, or stores zeros if `from` is null.
  void pad_state(const CellPlan& cell, const float* from, float* to) const {
    std::memset(to, 0, std::size_t(cell.state(args_.batch)) * sizeof(float));
    if (!from) return;
    for (std::int64_t n = 0; n < args_.batch; ++n)
      std::memcpy(to + n * cell.padded, from + n * cell.units,
                  std::size_t(cell.units) * sizeof(float));
  }

  void unpad_state(const CellPlan& cell, const float* from, const View& to) const {
    if (!to) return;
    float* out = to.as<float>() + (cell.reverse ? args_.batch * cell.units : 0);
    for (std::int64_t n = 0; n < args_.batch; ++n)
      std::memcpy(out + n * cell.units, from + n * cell.padded,
                  std::size_t(cell.units) * sizeof(float));
  }

  const float* initial(const CellPlan& cell, const View& state) const {
    if (!state) return nullptr;
    return state.as<float>() + (cell.reverse ? args_.batch * cell.units : 0);
  }

  /// The place of h_{t-1} and of h_t in the time order of the sequence, in units of one state.
  static std::int64_t before(const CellPlan& cell, std::int64_t t) {
    return cell.reverse ? t + 1 : t;
  }
  static std::int64_t after(const CellPlan& cell, std::int64_t t) {
    return cell.reverse ? t : t + 1;
  }
  std::int64_t first_state(const CellPlan& cell) const { return cell.reverse ? args_.steps : 0; }
  std::int64_t last_state(const CellPlan& cell) const { return cell.reverse ? 0 : args_.steps; }

  void forward_cell(CellPlan& cell, const Matrix& x, const View& lengths, const View& h0,
                    const View& c0, const View& h_n, const View& c_n, float* memory) {
    const std::int64_t rows = args_.steps * args_.batch, state = cell.state(args_.batch);
    device_.multiply(
        PackedGemm{rows, cell.w_ih->padded_columns(), cell.input, x.data, x.ld, cell.w_ih->data(),
                   memory + cell.gates + slots_.first_x * cell.padded, gate_row(cell), false});
    if (is_gru_after()) clear_slot(cell, memory + cell.gates);
    pad_state(cell, initial(cell, h0), memory + cell.h + first_state(cell) * state);
    if (is_lstm()) pad_state(cell, initial(cell, c0), memory + cell.c + first_state(cell) * state);

    const std::int32_t* length = lengths ? lengths.as<std::int32_t>() : nullptr;
    with_own_units(cell, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = 0; s < args_.steps; ++s) {
        const std::int64_t t = cell.reverse ? args_.steps - 1 - s : s;
        forward_step(cell, t, begin, end, length, memory);
        device_.pool.barrier();
      }
    });
    unpad_state(cell, memory + cell.h + last_state(cell) * state, h_n);
    if (is_lstm()) unpad_state(cell, memory + cell.c + last_state(cell) * state, c_n);
  }

  /// Clears slot 0, which W does not feed.
  void clear_slot(const CellPlan& cell, float* gates) {
    device_.pool.parallel_for(
        args_.steps * args_.batch, 64, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row)
            std::memset(gates + row * gate_row(cell), 0, std::size_t(cell.padded) * sizeof(float));
        });
  }

  /// gates of slots [first, last) += state R, for the calling thread's units.
  void multiply_state(const CellPlan& cell, const float* state, float* gates, int first, int last,
                      std::int64_t begin, std::int64_t end) const {
    const std::int64_t width = gemm_panel_width();
    if (begin == end) return;
    for (int k = first; k < last; ++k)
      gemm_packed_panels({args_.batch, cell.padded, cell.units, state, cell.padded,
                          cell.w_hh[k]->data(), gates + k * cell.padded, gate_row(cell), true},
                         begin / width, end / width);
  }

  GateArgs gate_args(const CellPlan& cell, std::int64_t t, std::int64_t begin, std::int64_t end,
                     const float* memory) const {
    const std::int64_t state = cell.state(args_.batch);
    const auto at = [&](Floats buffer, std::int64_t place) {
      return const_cast<float*>(memory) + buffer + place * state + begin;
    };
    GateArgs a{};
    a.rows = args_.batch;
    a.units = end - begin;
    a.gate_row = gate_row(cell);
    a.gate_stride = cell.padded;
    a.state_row = cell.padded;
    a.bias = static_cast<const float*>(cell.bias.get()) + begin;
    a.gates = const_cast<float*>(memory) + cell.gates + t * args_.batch * gate_row(cell) + begin;
    a.h_prev = at(cell.h, before(cell, t));
    a.h = a.h_out = at(cell.h, after(cell, t));
    if (is_lstm()) {
      a.c_prev = at(cell.c, before(cell, t));
      a.c = at(cell.c, after(cell, t));
    }
    if (is_gru_before()) a.reset_h = at(cell.reset_h, t);
    return a;
  }

  void forward_step(const CellPlan& cell, std::int64_t t, std::int64_t begin, std::int64_t end,
                    const std::int32_t* length, float* memory) {
    const std::int64_t state = cell.state(args_.batch);
    const float* h_prev = memory + cell.h + before(cell, t) * state;
    float* gates = memory + cell.gates + t * args_.batch * gate_row(cell);
    const GateArgs a = gate_args(cell, t, begin, end, memory);
    const GateKernels& kernels = gate_kernels();
    if (is_gru_before()) {
      multiply_state(cell, h_prev, gates, 0, 2, begin, end);
      kernels.gru_before_reset(a);
      device_.pool.barrier();
      multiply_state(cell, memory + cell.reset_h + t * state, gates, 2, 3, begin, end);
      kernels.gru_before_forward(a);
    } else {
      multiply_state(cell, h_prev, gates, 0, slots_.count, begin, end);
      if (is_lstm())
        kernels.lstm_forward(a);
      else if (is_gru_after())
        kernels.gru_after_forward(a);
      else
        kernels.rnn_forward[int(args_.spec.cell)](a);
    }
    if (length) keep_finished(a, t, length);
  }

  /// Sequences that have ended keep their state.
  void keep_finished(const GateArgs& a, std::int64_t t, const std::int32_t* length) const {
    const auto bytes = std::size_t(a.units) * sizeof(float);
    for (std::int64_t n = 0; n < a.rows; ++n) {
      if (t < length[n]) continue;
      std::memcpy(a.h_out + n * a.state_row, a.h_prev + n * a.state_row, bytes);
      if (is_lstm()) std::memcpy(a.c + n * a.state_row, a.c_prev + n * a.state_row, bytes);
    }
  }

  // ---- backward

  void backward_cell(std::size_t layer, std::size_t k, const Matrix& x, const float* dy, float* dx,
                     const RecurrentBackward& args, const float* memory, float* scratch) {
    LayerPlan& plan = layers_[layer];
    CellPlan& cell = plan.cells[k];
    const std::int64_t state = cell.state(args_.batch);
    const std::int32_t* length = args.lengths ? args.lengths.as<std::int32_t>() : nullptr;
    float* dh = scratch + dh_;
    fill_dh(plan, k, dy, length, dh);
    pad_state(cell, initial(cell, args.dh_n[layer]),
              scratch + dgates_);  // dgates_ is not in use yet
    row_kernels().accumulate(scratch + dgates_, dh + last_state(cell) * state, state);
    if (is_lstm()) pad_state(cell, initial(cell, args.dc_n[layer]), scratch + dstate_);

    with_own_units(cell, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = args_.steps; s-- > 0;) {
        const std::int64_t t = cell.reverse ? args_.steps - 1 - s : s;
        backward_step(cell, t, begin, end, length, memory, scratch);
      }
    });
    unpad_state(cell, dh + first_state(cell) * state, args.dh0[layer]);
    if (is_lstm()) unpad_state(cell, scratch + dstate_, args.dc0[layer]);

    const std::size_t index = layer * plan.cells.size() + k;
    weight_gradients(cell, x, args.dweights[index], memory, scratch);
    if (dx) input_gradient(cell, args.weights[index].weight_ih, dx, k > 0, scratch);
  }

  /// dh [T + 1, N, Hp]: the gradients from above; the contributions of the steps are added later.
  void fill_dh(const LayerPlan& plan, std::size_t k, const float* dy, const std::int32_t* length,
               float* dh) {
    const CellPlan& cell = plan.cells[k];
    const std::int64_t width = cell.units * std::int64_t(plan.cells.size());
    const std::int64_t state = cell.state(args_.batch);
    std::memset(dh + first_state(cell) * state, 0, std::size_t(state) * sizeof(float));
    float* to = dh + (cell.reverse ? 0 : state);
    const float* from = dy ? dy + std::int64_t(k) * cell.units : nullptr;
    device_.pool.parallel_for(
        args_.steps * args_.batch, 64, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) {
            float* out = to + row * cell.padded;
            std::memset(out, 0, std::size_t(cell.padded) * sizeof(float));
            if (!from || (length && row / args_.batch >= length[row % args_.batch])) continue;
            std::memcpy(out, from + row * width, std::size_t(cell.units) * sizeof(float));
          }
        });
  }

  void backward_step(const CellPlan& cell, std::int64_t t, std::int64_t begin, std::int64_t end,
                     const std::int32_t* length, const float* memory, float* scratch) {
    const std::int64_t state = cell.state(args_.batch);
    const GateKernels& kernels = gate_kernels();
    GateArgs a = gate_args(cell, t, begin, end, memory);
    float* dgates = scratch + dgates_ + t * args_.batch * gate_row(cell);
    float* dh_prev = scratch + dh_ + before(cell, t) * state;
    float* dreset_h = scratch + dstate_;
    a.dgates = dgates + begin;
    a.dh = scratch + dh_ + after(cell, t) * state + begin;
    a.dh_prev = dh_prev + begin;
    a.dc = scratch + dstate_ + begin;
    a.dreset_h = dreset_h + begin;

    for_each_unfinished(a, t, length, [&](const GateArgs& rows) {
      if (is_lstm())
        kernels.lstm_backward(rows);
      else if (is_gru_after())
        kernels.gru_after_backward(rows);
      else if (is_gru_before())
        kernels.gru_before_backward(rows);
      else
        kernels.rnn_backward[int(args_.spec.cell)](rows);
    });
    device_.pool.barrier();
    if (is_gru_before()) {
      multiply_gradient(cell, 2, dgates, dreset_h, begin, end, false);
      kernels.gru_before_reset_backward(a);
      device_.pool.barrier();
    }
    const int gates = is_gru_before() ? 2 : slots_.count;
    for (int k = 0; k < gates; ++k) multiply_gradient(cell, k, dgates, dh_prev, begin, end, true);
  }

  /// In rows whose sequence has ended, gradients pass through unchanged and the gates' are zero.
  template <typename Kernel>
  void for_each_unfinished(const GateArgs& all, std::int64_t t, const std::int32_t* length,
                           const Kernel& kernel) const {
    if (!length) return kernel(all);
    for (std::int64_t n = 0; n < all.rows; ++n) {
      GateArgs a = all;
      a.rows = 1;
      a.gates += n * a.gate_row;
      a.dgates += n * a.gate_row;
      for (const float** p : {&a.h_prev, &a.h, &a.c_prev})
        if (*p) *p += n * a.state_row;
      for (float** p : {&a.c, &a.reset_h, &a.dh, &a.dh_prev, &a.dc, &a.dreset_h})
        if (*p) *p += n * a.state_row;
      if (t < length[n])
        kernel(a);
      else
        pass_gradient_on(a);
    }
  }

  void pass_gradient_on(const GateArgs& a) const {
    const auto bytes = std::size_t(a.units) * sizeof(float);
    row_kernels().accumulate(a.dh, a.dh_prev, a.units);
    for (int k = 0; k < slots_.slots; ++k) std::memset(a.dgates + k * a.gate_stride, 0, bytes);
  }

  /// to (+)= (dgates of R's slot k) R, for the calling thread's units.
  void multiply_gradient(const CellPlan& cell, int k, const float* dgates, float* to,
                         std::int64_t begin, std::int64_t end, bool accumulate) const {
    const std::int64_t width = gemm_panel_width();
    if (begin == end) return;
    gemm_packed_panels({args_.batch, cell.padded, cell.units, dgates + k * cell.padded,
                        gate_row(cell), cell.w_hh_back[k]->data(), to, cell.padded, accumulate},
                       begin / width, end / width);
  }

  void weight_gradients(const CellPlan& cell, const Matrix& x, const RecurrentWeights& d,
                        const float* memory, const float* scratch) {
    const std::int64_t rows = args_.steps * args_.batch, units = cell.units;
    const float* dgates = scratch + dgates_;
    const float* h_prev = memory + cell.h + (cell.reverse ? cell.state(args_.batch) : 0);
    const auto product = [&](const View& to, int gate, int slot, const Matrix& b,
                             std::int64_t columns) {
      if (!to) return;
      device_.multiply(Gemm{units, columns, rows, dgates + slot * cell.padded, gate_row(cell), true,
                            b.data, b.ld, false, to.as<float>() + gate * units * columns, columns,
                            false});
    };
    for (int k = 0; k < slots_.count; ++k) {
      const bool reset_product = is_gru_before() && k == 2;
      product(d.weight_ih, k, slots_.first_x + k, x, cell.input);
      product(d.weight_hh, slots_.r_row[k], k,
              {reset_product ? memory + cell.reset_h : h_prev, cell.padded}, units);
      if (d.bias_ih) sum_rows(cell, dgates, slots_.first_x + k, d.bias_ih, k);
      if (d.bias_hh) sum_rows(cell, dgates, k, d.bias_hh, slots_.r_row[k]);
    }
  }

  /// to[gate] = sum over timesteps and sequences of the gradients in `slot`.
  void sum_rows(const CellPlan& cell, const float* dgates, int slot, const View& to, int gate) {
    float* sum = to.as<float>() + gate * cell.units;
    device_.pool.parallel_for(cell.units, kUnitBlock, [&](std::int64_t begin, std::int64_t end) {
      std::memset(sum + begin, 0, std::size_t(end - begin) * sizeof(float));
      add_rows({dgates + slot * cell.padded + begin, args_.steps * args_.batch, end - begin,
                gate_row(cell), sum + begin});
    });
  }

  void input_gradient(const CellPlan& cell, const View& weight_ih, float* dx, bool accumulate,
                      const float* scratch) {
    for (int k = 0; k < slots_.count; ++k)
      device_.multiply(Gemm{args_.steps * args_.batch, cell.input, cell.units,
                            scratch + dgates_ + (slots_.first_x + k) * cell.padded, gate_row(cell),
                            false, weight_ih.as<float>() + k * cell.units * cell.input, cell.input,
                            false, dx, cell.input, accumulate || k > 0});
  }

  Device& device_;
  RecurrentArgs args_;
  GateLayout slots_;
  std::vector<LayerPlan> layers_;
  std::int64_t largest_ = 0;
  Floats reserve_size_ = 0, backward_size_ = 0;
  Floats dh_ = 0, dgates_ = 0, dstate_ = 0, dlayer_ = 0, dlayer_size_ = 0;
};

}  // namespace

std::unique_ptr<RecurrentPlan> make_recurrent_plan(Device& device, const RecurrentArgs& args) {
  return std::make_unique<CpuRecurrentPlan>(device, args);
}

}  // namespace unroll::host
