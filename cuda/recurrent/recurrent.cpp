#include "cuda/recurrent/recurrent.h"

#include <algorithm>
#include <span>
#include <type_traits>

#include "cuda/device/memory_layout.h"
#include "cuda/device/packed_matrix.h"
#include "cuda/recurrent/gates.h"
#include "cuda/recurrent/persistent.h"
#include "cuda/recurrent/recurrent_kernels.h"
#include "cuda/recurrent/wavefront.h"

namespace unroll::gpu {
namespace {

/// One layer in one direction. Buffers are byte offsets: in the reserve for the forward pass (in
/// the scratch memory in inference), in the scratch memory for the backward pass.
struct CellPlan {
  int layer, direction;
  std::int64_t units, padded;
  std::size_t gates = 0;    // [T, N, slots, Hp]
  std::size_t h = 0;        // [T + 1, N, Hp] E: the initial state first, or last in reverse
  std::size_t state = 0;    // the same in float32: c of an LSTM; h of a GRU unless E is float32
  std::size_t reset_h = 0;  // [T, N, Hp] E, GRU before
  std::size_t dgates = 0;   // [T, N, slots, Hp] E
  std::size_t dh = 0;       // [N, Hp], like the next two
  std::size_t dc = 0;       // LSTM
  std::size_t dreset = 0;   // GRU before
};

struct LayerPlan {
  LayerInput input;
  bool copies_x;       // false: it reads x or the h below in place
  std::size_t x = 0;   // [T N, Ip] E, forward
  std::size_t dx = 0;  // [T N, Ip], backward; not for the first layer
};

/// How a pass advances in time.
struct PassPlan {
  std::vector<Stage> stages;
  std::vector<PersistentPass> persistent;  // one per layer; empty: stepwise
  std::shared_ptr<void> flags;             // of persistent kernels, separate for each layer
  std::vector<std::int64_t> flags_at;      // one per layer

  bool is_persistent() const { return !persistent.empty(); }
  /// Whether products of several cells are queued as one batched product.
  bool has_batches() const {
    return std::ranges::any_of(stages, [](const Stage& stage) { return stage.count > 1; });
  }
};

/// A stack computed by our own kernels, with the stepwise algorithm (as a wavefront or not) or the
/// persistent one in either pass. They differ only in how a stage advances in time; everything
/// around it, and the contents of the buffers, are the same.
class StackPlan final : public RecurrentPlan {
 public:
  StackPlan(SharedWeightCopies& weights, const RecurrentArgs& args, const StackAlgorithm& algorithm)
      : weights_(weights),
        device_(weights.device()),
        args_(args),
        slots_(args.spec),
        algorithm_(to_string(algorithm)) {
    const bool both = args.training && algorithm.forward == algorithm.backward;
    forward_ = plan_pass(algorithm.forward, {.backward = false, .and_other = both});
    if (args.training)
      backward_ = plan_pass(algorithm.backward, {.backward = true, .and_other = both});
    lay_out();
  }

  std::string algorithm() const override { return algorithm_; }
  std::size_t reserve_bytes() const override { return args_.training ? forward_bytes_ : 0; }
  std::size_t scratch_bytes() const override {
    return args_.training ? backward_bytes_ : forward_bytes_;
  }

  void prepare(std::span<const RecurrentWeights> weights) override {
    const bool evenly_spaced = forward_.has_batches() || backward_.has_batches();
    if (!copies_) copies_ = weights_.of(args_, evenly_spaced, weights);
    copies_->update(weights);
  }

  void forward(const RecurrentForward& args) override {
    Forward pass{args, (args_.training ? args.reserve : args.scratch).as<std::byte>()};
    if (layers_[0].copies_x)
      pack_matrix(device_, {rows(), args_.input, device_.element()}, args.x.as<float>(),
                  pass.memory + layers_[0].x);
    for (const Stage& stage : forward_.stages) {
      start_states(pass, stage);
      multiply_inputs(pass, stage.lowest_layer(), 0, args_.steps);
      if (forward_.is_persistent()) {
        forward_persistent(pass, stage);
        continue;
      }
      stage.for_each_tick(false, [&](std::span<const CellStep> blocks, auto&& for_each_step) {
        if (stage.is_wavefront()) multiply_inputs(pass, stage, blocks);
        for_each_step([&](std::span<const CellStep> steps) { forward_step(pass, steps); });
      });
    }
  }

  void backward(const RecurrentBackward& args) override {
    Backward pass{args, args.reserve.as<std::byte>(), args.scratch.as<std::byte>()};
    for (std::size_t k = backward_.stages.size(); k-- > 0;) {
      const Stage& stage = backward_.stages[k];
      start_gradients(pass, stage);
      if (backward_.is_persistent())
        backward_persistent(pass, stage);
      else
        stage.for_each_tick(true, [&](std::span<const CellStep> blocks, auto&& for_each_step) {
          for_each_step([&](std::span<const CellStep> steps) { backward_step(pass, steps); });
          if (stage.is_wavefront()) input_gradients(pass, stage, blocks);
        });
      finish_gradients(pass, stage);
      for (int cell = stage.first; cell < stage.first + stage.count; ++cell)
        weight_gradients(pass, cell);
      const Stage lowest = stage.lowest_layer();
      if (cells_[std::size_t(lowest.first)].layer > 0 || args.dx)
        input_gradients(pass, lowest, 0, args_.steps);
    }
  }

 private:
  struct Forward {
    const RecurrentForward& args;
    std::byte* memory;
  };
  struct Backward {
    const RecurrentBackward& args;
    const std::byte* memory;
    std::byte* scratch;
  };
  struct Matrix {
    const void* data;
    std::int64_t ld;
  };

  cudaStream_t stream() const { return device_.stream(); }
  std::size_t element() const { return size_of(device_.element()); }
  std::int64_t rows() const { return args_.steps * args_.batch; }
  float dropout() const { return args_.spec.dropout; }
  int directions() const { return args_.spec.directions; }
  bool is_lstm() const { return args_.spec.cell == CellKind::kLstm; }
  bool is_gru() const { return args_.spec.cell == CellKind::kGru; }
  bool is_gru_before() const { return is_gru() && args_.spec.reset == GruReset::kBefore; }
  /// Whether there is a state besides h in the element type.
  bool has_state() const {
    return is_lstm() || (is_gru() && device_.element() != Element::kFloat32);
  }

  // ---- memory

  void lay_out() {
    for (int layer = 0; layer < args_.spec.layers(); ++layer) {
      const LayerInput input = layer_input(args_.spec, args_.input, layer);
      const bool in_place = layer == 0
                                ? device_.element() == Element::kFloat32 && !input.is_padded()
                                : directions() == 1 && dropout() == 0;
      layers_.push_back({input, !in_place});
      for (int direction = 0; direction < directions(); ++direction) {
        const std::int64_t units = args_.spec.hidden[std::size_t(layer)];
        cells_.push_back({layer, direction, units, gpu::padded(units)});
      }
    }
    const std::int64_t n = args_.batch, with_initial = rows() + n;
    MemoryLayout forward, backward;
    // All buffers of one kind are adjacent: neighbouring cells of one size are then evenly spaced,
    // as batched products require.
    for (CellPlan& c : cells_) c.gates = forward.take(rows() * gate_row(c), sizeof(float));
    for (CellPlan& c : cells_) c.h = forward.take(with_initial * c.padded, element());
    if (has_state())
      for (CellPlan& c : cells_) c.state = forward.take(with_initial * c.padded, sizeof(float));
    if (is_gru_before())
      for (CellPlan& c : cells_) c.reset_h = forward.take(rows() * c.padded, element());
    for (LayerPlan& layer : layers_)
      if (layer.copies_x) layer.x = forward.take(rows() * layer.input.padded_columns(), element());
    forward_bytes_ = forward.bytes();
    for (CellPlan& c : cells_) c.dgates = backward.take(rows() * gate_row(c), element());
    for (CellPlan& c : cells_) c.dh = backward.take(n * c.padded, sizeof(float));
    if (is_lstm())
      for (CellPlan& c : cells_) c.dc = backward.take(n * c.padded, sizeof(float));
    if (is_gru_before())
      for (CellPlan& c : cells_) c.dreset = backward.take(n * c.padded, sizeof(float));
    for (std::size_t layer = 1; layer < layers_.size(); ++layer)
      layers_[layer].dx =
          backward.take(rows() * layers_[layer].input.padded_columns(), sizeof(float));
    backward_bytes_ = backward.bytes();
  }

  /// The plan owns the flags, because their values must persist from launch to launch.
  PassPlan plan_pass(const PassAlgorithm& algorithm, const WhichPass& which) {
    PassPlan pass{stages_of(args_.spec, args_.steps, algorithm.block), {}, nullptr, {}};
    if (!algorithm.persistent) return pass;
    std::int64_t count = 0;
    for (int layer = 0; layer < args_.spec.layers(); ++layer) {
      pass.persistent.push_back(persistent_pass(device_, args_, layer, which));
      pass.flags_at.push_back(count);
      count += pass.persistent.back().flags();
    }
    const std::size_t bytes = std::size_t(count) * sizeof(std::uint32_t);
    pass.flags = device_.allocate(bytes);
    UNROLL_CUDA_CHECK(cudaMemsetAsync(pass.flags.get(), 0, bytes, stream()));
    return pass;
  }

  std::int64_t gate_row(const CellPlan& cell) const { return slots_.slots * cell.padded; }
  const CellPlan& cell(int index) const { return cells_[std::size_t(index)]; }

  /// The places of h_{t-1} and h_t in the order of time, in units of one state.
  static std::int64_t before(const CellPlan& c, std::int64_t t) {
    return c.direction == 1 ? t + 1 : t;
  }
  static std::int64_t after(const CellPlan& c, std::int64_t t) {
    return c.direction == 1 ? t : t + 1;
  }
  std::int64_t first_step(const CellPlan& c) const {
    return c.direction == 1 ? args_.steps - 1 : 0;
  }
  std::int64_t last_step(const CellPlan& c) const { return args_.steps - 1 - first_step(c); }

  template <typename Byte>
  auto* floats(Byte* memory, std::size_t offset, std::int64_t index) const {
    using Float = std::conditional_t<std::is_const_v<Byte>, const float, float>;
    return reinterpret_cast<Float*>(memory + offset) + index;
  }
  template <typename Byte>
  auto* elements(Byte* memory, std::size_t offset, std::int64_t index) const {
    using Void = std::conditional_t<std::is_const_v<Byte>, const void, void>;
    return static_cast<Void*>(memory + offset + std::size_t(index) * element());
  }
  template <typename Byte>
  auto* state_at(Byte* memory, std::size_t offset, const CellPlan& c, std::int64_t place) const {
    return floats(memory, offset, place * args_.batch * c.padded);
  }
  template <typename Byte>
  auto* h_at(Byte* memory, const CellPlan& c, std::int64_t place) const {
    return elements(memory, c.h, place * args_.batch * c.padded);
  }

  /// The part of a [D, N, H] tensor for the cell's direction; null if there is none.
  float* given_state(const View& view, const CellPlan& c) const {
    return view ? view.as<float>() + c.direction * args_.batch * c.units : nullptr;
  }

  /// [T N, Ip] E: the input of a layer.
  Matrix layer_x(const View& x, const std::byte* memory, int layer) const {
    const LayerPlan& plan = layers_[std::size_t(layer)];
    if (plan.copies_x) return {memory + plan.x, plan.input.padded_columns()};
    if (layer == 0) return {x.data, args_.input};
    const CellPlan& below = cell(layer - 1);  // one direction of it
    return {h_at(memory, below, 1), below.padded};
  }

  // ---- products

  /// Queues those of equal shape with evenly spaced operands as one batched product.
  void multiply(std::span<const Gemm> products) const {
    for (std::size_t first = 0; first < products.size();) {
      Gemm all = products[first];
      std::size_t end = first + 1;
      for (; end < products.size(); ++end) {
        const Gemm &g = products[end], &last = products[end - 1];
        if (g.m != all.m || g.n != all.n || g.k != all.k) break;
        const std::int64_t a = distance(last.a, g.a), b = distance(last.b, g.b);
        const std::int64_t c = (g.c - last.c);
        if (all.batch > 1 && (a != all.stride_a || b != all.stride_b || c != all.stride_c)) break;
        all.stride_a = a;
        all.stride_b = b;
        all.stride_c = c;
        ++all.batch;
      }
      device_.multiply(all);
      first = end;
    }
  }

  /// In elements.
  std::int64_t distance(const void* from, const void* to) const {
    return (static_cast<const std::byte*>(to) - static_cast<const std::byte*>(from)) /
           std::int64_t(element());
  }

  Gemm product(std::int64_t m, std::int64_t n, std::int64_t k, const Matrix& a, bool transpose_a,
               const Matrix& b, bool transpose_b, float* c, std::int64_t ldc, float beta) const {
    return {m,    n,           k, a.data, a.ld, transpose_a,      b.data,
            b.ld, transpose_b, c, ldc,    beta, device_.element()};
  }

  /// The copies for a stage's cells, which the caller fills in.
  StateCopies state_copies(const Stage& stage) const {
    const CellPlan& like = cell(stage.first);
    return {std::int32_t(args_.batch),
            std::int32_t(like.units),
            std::int32_t(like.padded),
            stage.count,
            {}};
  }

  // ---- forward

  void start_states(const Forward& pass, const Stage& stage) const {
    for (int k = 0; slots_.first_x > 0 && !forward_.is_persistent() && k < stage.count; ++k) {
      // W does not feed this slot, and R's product adds to it.
      const CellPlan& c = cell(stage.first + k);
      UNROLL_CUDA_CHECK(cudaMemset2DAsync(
          floats(pass.memory, c.gates, 0), std::size_t(gate_row(c)) * sizeof(float), 0,
          std::size_t(slots_.first_x * c.padded) * sizeof(float), std::size_t(rows()), stream()));
    }
    StateCopies copies = state_copies(stage);
    for (int k = 0; k < stage.count; ++k) {
      const CellPlan& c = cell(stage.first + k);
      const std::int64_t place = before(c, first_step(c));
      const View& h0 = pass.args.h0[std::size_t(c.layer)];
      copies.cell[k] = {
          given_state(h0, c), h_at(pass.memory, c, place),
          is_gru() && has_state() ? state_at(pass.memory, c.state, c, place) : nullptr};
    }
    pad_states(stream(), device_.element(), copies);
    if (!is_lstm()) return;
    for (int k = 0; k < stage.count; ++k) {
      const CellPlan& c = cell(stage.first + k);
      const View& c0 = pass.args.c0[std::size_t(c.layer)];
      copies.cell[k] = {given_state(c0, c), nullptr,
                        state_at(pass.memory, c.state, c, before(c, first_step(c)))};
    }
    pad_states(stream(), device_.element(), copies);
  }

  /// gates = W x for `count` timesteps of one cell.
  Gemm input_product(const Forward& pass, int index, std::int64_t first, std::int64_t count) const {
    const CellPlan& c = cell(index);
    const Matrix x = layer_x(pass.args.x, pass.memory, c.layer);
    const std::int64_t columns = layers_[std::size_t(c.layer)].input.padded_columns();
    const std::int64_t row = first * args_.batch;
    return product(count * args_.batch, slots_.x_slots() * c.padded, columns,
                   {elements(static_cast<const std::byte*>(x.data), 0, row * x.ld), x.ld}, false,
                   {copies_->cell(std::size_t(index)).weight_ih, columns}, true,
                   floats(pass.memory, c.gates, row * gate_row(c) + slots_.first_x * c.padded),
                   gate_row(c), 0);
  }

  void multiply_inputs(const Forward& pass, const Stage& layer, std::int64_t first,
                       std::int64_t count) const {
    Gemm products[kMostCells];
    for (int k = 0; k < layer.count; ++k)
      products[k] = input_product(pass, layer.first + k, first, count);
    multiply({products, std::size_t(layer.count)});
  }

  /// W x for the blocks that the layers of a wavefront have reached; the lowest layer has it
  /// already.
  void multiply_inputs(const Forward& pass, const Stage& stage,
                       std::span<const CellStep> blocks) const {
    Gemm products[kMostCells];
    std::size_t count = 0;
    for (const CellStep& block : blocks)
      if (block.cell != stage.first)
        products[count++] = input_product(pass, block.cell, block.t, stage.block_steps(block.t));
    multiply({products, count});
  }

  /// gates of slots [slot, slot + count) += state R^T.
  void multiply_states(const Forward& pass, std::span<const CellStep> steps, int slot, int count,
                       bool reset) const {
    Gemm products[kMostCells];
    for (std::size_t k = 0; k < steps.size(); ++k) {
      const CellPlan& c = cell(steps[k].cell);
      const std::int64_t t = steps[k].t;
      const void* state = reset ? elements(pass.memory, c.reset_h, t * args_.batch * c.padded)
                                : h_at(pass.memory, c, before(c, t));
      products[k] =
          product(args_.batch, count * c.padded, c.padded, {state, c.padded}, false,
                  recurrent_weight(steps[k].cell, slot), true,
                  floats(pass.memory, c.gates, t * args_.batch * gate_row(c) + slot * c.padded),
                  gate_row(c), 1);
    }
    multiply({products, steps.size()});
  }

  Matrix recurrent_weight(int index, int slot) const {
    const CellPlan& c = cell(index);
    return {elements(static_cast<const std::byte*>(copies_->cell(std::size_t(index)).weight_hh), 0,
                     slot * c.padded * c.padded),
            c.padded};
  }

  /// For cells with the properties of `like`.
  template <typename Args>
  GateShape gate_shape(const Args& args, const CellPlan& like, std::size_t cells) const {
    return {std::int32_t(args_.batch),
            std::int32_t(like.units),
            std::int32_t(like.padded),
            std::int32_t(cells),
            args_.training,
            dropout(),
            1 / (1 - dropout()),
            dropout() > 0 ? args.step.template as<std::int64_t>() : nullptr,
            args.lengths ? args.lengths.template as<std::int32_t>() : nullptr};
  }
  template <typename Cell, typename Args>
  GateArgs<Cell> gate_args(const Args& args, std::span<const CellStep> steps) const {
    return {gate_shape(args, cell(steps.front().cell), steps.size()), {}};
  }

  DropoutSite dropout_site(const CellPlan& c, std::int64_t t) const {
    const std::int64_t row = directions() * c.units;
    return {args_.dropout_key + std::uint64_t(c.layer),
            t * args_.batch * row + c.direction * c.units, row};
  }

  void forward_step(const Forward& pass, std::span<const CellStep> steps) const {
    auto args = gate_args<ForwardCell>(pass.args, steps);
    for (std::size_t k = 0; k < steps.size(); ++k)
      args.cell[k] = forward_cell(pass, steps[k].cell, steps[k].t);
    if (is_gru_before()) {
      const auto &first = slots_.parts[0], &second = slots_.parts[1];
      multiply_states(pass, steps, first.slot, first.count, first.reset);
      gates_forward(stream(), args_.spec, GateStep::kReset, device_.element(), args);
      multiply_states(pass, steps, second.slot, second.count, second.reset);
      gates_forward(stream(), args_.spec, GateStep::kMix, device_.element(), args);
    } else {
      multiply_states(pass, steps, 0, slots_.h_slots(), false);
      gates_forward(stream(), args_.spec, GateStep::kWhole, device_.element(), args);
    }
  }

  ForwardCell forward_cell(const Forward& pass, int index, std::int64_t t) const {
    const CellPlan& c = cell(index);
    const std::int64_t row = t * args_.batch;
    const auto layer = std::size_t(c.layer);
    ForwardCell f{};
    f.gates = floats(pass.memory, c.gates, row * gate_row(c));
    f.bias = copies_->cell(std::size_t(index)).bias;
    f.h_prev = h_at(pass.memory, c, before(c, t));
    f.h = h_at(pass.memory, c, after(c, t));
    if (has_state()) {
      f.state_prev = state_at(pass.memory, c.state, c, before(c, t));
      f.state = state_at(pass.memory, c.state, c, after(c, t));
    }
    if (is_gru_before()) f.reset_h = elements(pass.memory, c.reset_h, row * c.padded);
    if (layer + 1 < layers_.size()) {
      const LayerPlan& above = layers_[layer + 1];
      f.above_row = above.input.padded_columns();
      if (above.copies_x)
        f.above = elements(pass.memory, above.x, row * f.above_row + c.direction * c.padded);
    } else if (pass.args.y) {
      f.y_row = directions() * c.units;
      f.y = pass.args.y.as<float>() + row * f.y_row + c.direction * c.units;
    }
    if (t == last_step(c)) {
      f.h_n = given_state(pass.args.h_n[layer], c);
      if (is_lstm()) f.c_n = given_state(pass.args.c_n[layer], c);
    }
    f.dropout = dropout_site(c, t);
    f.t = std::int32_t(t);
    return f;
  }

  // ---- persistent

  /// For each launch of a layer's cells: launch(first cell, common arguments, kernels).
  template <typename Cell, typename Args, typename Launch>
  void for_each_launch(const PassPlan& pass, const Stage& stage, const Args& args,
                       const Launch& launch) const {
    const auto layer = std::size_t(cell(stage.first).layer);
    const PersistentPass& persistent = pass.persistent[layer];
    const std::int32_t cells = persistent.cells;
    PersistentArgs<Cell> all{};
    static_cast<GateShape&>(all) = gate_shape(args, cell(stage.first), std::size_t(cells));
    all.shape = persistent.shape;
    all.steps = std::int32_t(args_.steps);
    all.flags = static_cast<std::uint32_t*>(pass.flags.get()) + pass.flags_at[layer];
    all.watch = device_.grid_watcher().watch();
    for (int first = stage.first; first < stage.first + stage.count; first += cells) {
      for (int k = 0; k < cells; ++k) all.weight[k] = recurrent_weight(first + k, 0).data;
      launch(first, all, persistent.kernels);
    }
  }

  CellMove cell_move(std::int32_t times, const CellPlan& c, std::int64_t above_row,
                     std::int64_t output_row) const {
    const std::int64_t rows = times * args_.batch;
    return {rows * c.padded, rows * above_row, rows * output_row, rows * directions() * c.units,
            times};
  }

  void forward_persistent(const Forward& pass, const Stage& stage) const {
    for_each_launch<ForwardCell>(
        forward_, stage, pass.args,
        [&](int first, PersistentArgs<ForwardCell>& all, const PersistentKernels& kernels) {
          for (int k = 0; k < all.cells; ++k) {
            const CellPlan& c = cell(first + k);
            ForwardCell& f = all.cell[k] = forward_cell(pass, first + k, first_step(c));
            f.h_n = given_state(pass.args.h_n[std::size_t(c.layer)], c);
            if (is_lstm()) f.c_n = given_state(pass.args.c_n[std::size_t(c.layer)], c);
            all.move[k] = cell_move(c.direction == 1 ? -1 : 1, c, f.above_row, f.y_row);
          }
          start_persistent(stream(), kernels, all);
        });
  }

  void backward_persistent(const Backward& pass, const Stage& stage) const {
    for_each_launch<BackwardCell>(
        backward_, stage, pass.args,
        [&](int first, PersistentArgs<BackwardCell>& all, const PersistentKernels& kernels) {
          for (int k = 0; k < all.cells; ++k) {
            const CellPlan& c = cell(first + k);
            all.cell[k] = backward_cell(pass, first + k, last_step(c));
            all.move[k] = cell_move(c.direction == 1 ? 1 : -1, c, 0, all.cell[k].dy_row);
          }
          start_persistent(stream(), kernels, all);
        });
  }

  // ---- backward

  /// dh and dc of each cell's last step: the given ones, or zero.
  void start_gradients(const Backward& pass, const Stage& stage) const {
    pad_states(stream(), Element::kFloat32,
               gradient_states(pass, stage, pass.args.dh_n, &CellPlan::dh));
    if (is_lstm())
      pad_states(stream(), Element::kFloat32,
                 gradient_states(pass, stage, pass.args.dc_n, &CellPlan::dc));
  }

  void finish_gradients(const Backward& pass, const Stage& stage) const {
    unpad_states(stream(), gradient_states(pass, stage, pass.args.dh0, &CellPlan::dh));
    if (is_lstm())
      unpad_states(stream(), gradient_states(pass, stage, pass.args.dc0, &CellPlan::dc));
  }

  StateCopies gradient_states(const Backward& pass, const Stage& stage, std::span<const View> given,
                              std::size_t CellPlan::*buffer) const {
    StateCopies copies = state_copies(stage);
    for (int k = 0; k < stage.count; ++k) {
      const CellPlan& c = cell(stage.first + k);
      copies.cell[k] = {given.empty() ? nullptr : given_state(given[std::size_t(c.layer)], c),
                        nullptr, floats(pass.scratch, c.*buffer, 0)};
    }
    return copies;
  }

  /// `to` [N, Hp] (+)= dgates of slots [slot, slot + count) R.
  void multiply_gradients(const Backward& pass, std::span<const CellStep> steps, int slot,
                          int count, std::size_t CellPlan::*to, bool add) const {
    Gemm products[kMostCells];
    for (std::size_t k = 0; k < steps.size(); ++k) {
      const CellPlan& c = cell(steps[k].cell);
      const std::int64_t at = steps[k].t * args_.batch * gate_row(c) + slot * c.padded;
      products[k] = product(args_.batch, c.padded, count * c.padded,
                            {elements(pass.scratch, c.dgates, at), gate_row(c)}, false,
                            recurrent_weight(steps[k].cell, slot), false,
                            floats(pass.scratch, c.*to, 0), c.padded, add ? 1.0F : 0.0F);
    }
    multiply({products, steps.size()});
  }

  void backward_step(const Backward& pass, std::span<const CellStep> steps) const {
    auto args = gate_args<BackwardCell>(pass.args, steps);
    for (std::size_t k = 0; k < steps.size(); ++k)
      args.cell[k] = backward_cell(pass, steps[k].cell, steps[k].t);
    const bool add = carries(args_.spec, args_.has_lengths);
    if (is_gru_before()) {
      const auto &first = slots_.parts[0], &second = slots_.parts[1];
      gates_backward(stream(), args_.spec, GateStep::kMix, device_.element(), args);
      multiply_gradients(pass, steps, second.slot, second.count, &CellPlan::dreset, false);
      gates_backward(stream(), args_.spec, GateStep::kReset, device_.element(), args);
      multiply_gradients(pass, steps, first.slot, first.count, &CellPlan::dh, add);
    } else {
      gates_backward(stream(), args_.spec, GateStep::kWhole, device_.element(), args);
      multiply_gradients(pass, steps, 0, slots_.h_slots(), &CellPlan::dh, add);
    }
  }

  BackwardCell backward_cell(const Backward& pass, int index, std::int64_t t) const {
    const CellPlan& c = cell(index);
    const std::int64_t row = t * args_.batch;
    const auto layer = std::size_t(c.layer);
    BackwardCell b{};
    b.gates = floats(pass.memory, c.gates, row * gate_row(c));
    b.h_prev = h_at(pass.memory, c, before(c, t));
    if (has_state()) {
      b.state_prev = state_at(pass.memory, c.state, c, before(c, t));
      b.state = state_at(pass.memory, c.state, c, after(c, t));
    }
    b.dgates = elements(pass.scratch, c.dgates, row * gate_row(c));
    b.dh = floats(pass.scratch, c.dh, 0);
    if (is_lstm()) b.dc = floats(pass.scratch, c.dc, 0);
    if (is_gru_before()) b.dreset = floats(pass.scratch, c.dreset, 0);
    if (layer + 1 < layers_.size()) {
      const LayerPlan& above = layers_[layer + 1];
      b.dy_row = above.input.padded_columns();
      b.dy = floats(pass.scratch, above.dx, row * b.dy_row + c.direction * c.padded);
      b.dy_padded = true;
    } else if (pass.args.dy) {
      b.dy_row = directions() * c.units;
      b.dy = pass.args.dy.as<float>() + row * b.dy_row + c.direction * c.units;
    }
    b.dropout = dropout_site(c, t);
    b.t = std::int32_t(t);
    return b;
  }

  /// dx of one cell's layer for `count` timesteps.
  Gemm input_gradient(const Backward& pass, int index, std::int64_t first,
                      std::int64_t count) const {
    const CellPlan& c = cell(index);
    const LayerPlan& layer = layers_[std::size_t(c.layer)];
    const std::int64_t columns = layer.input.padded_columns(), row = first * args_.batch;
    // The caller's dx has no padding.
    const std::int64_t width = c.layer == 0 ? args_.input : columns;
    float* dx = c.layer == 0 ? pass.args.dx.as<float>() + row * width
                             : floats(pass.scratch, layer.dx, row * width);
    return product(count * args_.batch, width, slots_.x_slots() * c.padded,
                   {elements(pass.scratch, c.dgates, row * gate_row(c) + slots_.first_x * c.padded),
                    gate_row(c)},
                   false, {copies_->cell(std::size_t(index)).weight_ih, columns}, false, dx, width,
                   c.direction == 0 ? 0.0F : 1.0F);
  }

  void input_gradients(const Backward& pass, const Stage& layer, std::int64_t first,
                       std::int64_t count) const {
    // In order: the second direction adds to the result of the first.
    for (int k = 0; k < layer.count; ++k)
      device_.multiply(input_gradient(pass, layer.first + k, first, count));
  }

  void input_gradients(const Backward& pass, const Stage& stage,
                       std::span<const CellStep> blocks) const {
    Gemm products[kMostCells];
    std::size_t count = 0;
    for (const CellStep& block : blocks)
      if (block.cell != stage.first)
        products[count++] = input_gradient(pass, block.cell, block.t, stage.block_steps(block.t));
    multiply({products, count});
  }

  void weight_gradients(const Backward& pass, int index) const {
    const CellPlan& c = cell(index);
    const RecurrentWeights& d = pass.args.dweights[std::size_t(index)];
    const LayerInput& input = layers_[std::size_t(c.layer)].input;
    const Matrix x = layer_x(pass.args.x, pass.memory, c.layer);
    if (d.weight_ih)
      // Adjacent blocks without padding are one.
      for (std::int64_t block = 0; block < (input.is_padded() ? input.blocks : 1); ++block)
        weight_gradient(
            pass, c, slots_.first_x, slots_.x_slots(), 0,
            {elements(static_cast<const std::byte*>(x.data), 0, block * input.padded_width()),
             x.ld},
            input.is_padded() ? input.width : input.columns(), d.weight_ih, block * input.width);
    if (d.weight_hh)
      for (int p = 0; p < slots_.part_count; ++p) {
        const GateSlots::Part& part = slots_.parts[p];
        const void* read = part.reset ? elements(pass.memory, c.reset_h, 0)
                                      : h_at(pass.memory, c, c.direction == 1 ? 1 : 0);
        weight_gradient(pass, c, part.slot, part.count, part.gate, {read, c.padded}, c.units,
                        d.weight_hh, 0);
      }
    if (d.bias_ih || d.bias_hh)
      bias_gradients(stream(), slots_,
                     {pass.scratch + c.dgates, device_.element(), rows(), std::int32_t(c.units),
                      std::int32_t(c.padded), d.bias_ih ? d.bias_ih.as<float>() : nullptr,
                      d.bias_hh ? d.bias_hh.as<float>() : nullptr});
  }

  /// Rows of gates [gate, gate + count), columns [column, column + columns) of `to` = dgates^T
  /// read, using the slots from `slot` on. If there is padding between gates, each gate has its own
  /// product.
  void weight_gradient(const Backward& pass, const CellPlan& c, int slot, int count, int gate,
                       const Matrix& read, std::int64_t columns, const View& to,
                       std::int64_t column) const {
    const bool together = c.units == c.padded;
    const std::int64_t ld = to.shape[1];
    Gemm g = product(together ? count * c.units : c.units, columns, rows(),
                     {elements(pass.scratch, c.dgates, slot * c.padded), gate_row(c)}, true, read,
                     false, to.as<float>() + gate * c.units * ld + column, ld, 0);
    if (!together) {
      g.batch = count;
      g.stride_a = c.padded;
      g.stride_c = c.units * ld;
    }
    device_.multiply(g);
  }

  SharedWeightCopies& weights_;
  Device& device_;
  RecurrentArgs args_;
  GateSlots slots_;
  std::string algorithm_;
  PassPlan forward_, backward_;  // backward_ in training only
  std::vector<LayerPlan> layers_;
  std::vector<CellPlan> cells_;
  std::size_t forward_bytes_ = 0, backward_bytes_ = 0;
  std::shared_ptr<RecurrentWeightCopies> copies_;
};

}  // namespace

std::string to_string(const PassAlgorithm& algorithm) {
  if (algorithm.persistent) return "persistent";
  return algorithm.block > 0 ? "stepwise:" + std::to_string(algorithm.block) : "stepwise";
}

std::string to_string(const StackAlgorithm& algorithm) {
  const std::string forward = to_string(algorithm.forward);
  if (algorithm.forward == algorithm.backward) return forward;
  return forward + "+" + to_string(algorithm.backward);
}

std::unique_ptr<RecurrentPlan> make_stack_plan(SharedWeightCopies& weights,
                                               const RecurrentArgs& args,
                                               const StackAlgorithm& algorithm) {
  return std::make_unique<StackPlan>(weights, args, algorithm);
}

}  // namespace unroll::gpu
