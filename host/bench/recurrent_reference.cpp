#include "host/bench/recurrent_reference.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "host/cpu/thread_pool.h"
#include "unroll/cells/table.h"
#include "unroll/cpu_limits.h"

namespace unroll::benchmark {
namespace {

using Array = std::vector<double>;

/// One layer. Rows of arrays are (timestep, sequence) pairs, and a row of gates has `slots` blocks
/// of H values (unroll/cells/program.h).
class Layer {
 public:
  Layer(const ReferenceInputs& in, int layer, host::ThreadPool& pool)
      : in_(in),
        layer_(std::size_t(layer)),
        program_(cells::program_of(in.spec)),
        weights_(in.weights[layer_]),
        pool_(pool),
        batch_(in.batch),
        inputs_(in.spec.layer_input(layer, in.input)),
        units_(in.spec.units(layer)),
        row_(program_.slots * units_) {
    if (program_.is_normalised || in.spec.projection > 0)
      throw std::invalid_argument("recurrent_reference: has neither layer norm nor projection");
    bias_.assign(std::size_t(row_), 0);
    const auto add = [&](const std::vector<float>& bias, int gate, int slot) {
      for (std::int64_t u = 0; u < units_; ++u)
        bias_[std::size_t(slot * units_ + u)] += double(bias[std::size_t(gate * units_ + u)]);
    };
    for (int k = 0; k < program_.gates; ++k) add(weights_.bias_ih, k, program_.first_x + k);
    for_each_phase_slot(
        [&](const cells::Phase&, int slot, int gate) { add(weights_.bias_hh, gate, slot); });
  }

  /// x [T, N, I] in; returns h [T, N, H].
  Array forward(const Array& x) {
    x_ = x;
    const std::int64_t states = batch_ * units_;
    h_ = in_.h0[layer_];
    h_.resize(std::size_t((in_.steps + 1) * states));
    if (program_.has_c) {
      c_ = in_.c0[layer_];
      c_.resize(h_.size());
    }
    gates_.assign(std::size_t(in_.steps * batch_ * row_), 0);
    reset_h_.assign(h_.size(), 0);
    for (int k = 0; k < program_.gates; ++k)
      multiply({weights_.weight_ih, k, program_.first_x + k, inputs_}, x_.data(),
               in_.steps * batch_, gates_.data());
    cells::visit_cell(in_.spec, [&]<typename Cell>(Cell) {
      for (std::int64_t t = 0; t < in_.steps; ++t) step_forward<Cell>(t);
    });
    return {h_.begin() + std::ptrdiff_t(states), h_.end()};
  }

  /// dy [T, N, H] in; returns dx [T, N, I].
  Array backward(const Array& dy, Array& dh0, Array& dc0, LayerArrays<double>& d) {
    const std::int64_t states = batch_ * units_, all = in_.steps * batch_;
    dgates_.assign(gates_.size(), 0);
    dh_.assign(std::size_t(states), 0);
    dc_.assign(std::size_t(states), 0);
    cells::visit_cell(in_.spec, [&]<typename Cell>(Cell) {
      for (std::int64_t t = in_.steps; t-- > 0;) {
        for (std::int64_t k = 0; k < states; ++k)
          dh_[std::size_t(k)] += dy[std::size_t(t * states + k)];
        step_backward<Cell>(t);
      }
    });
    dh0 = dh_;
    if (program_.has_c) dc0 = dc_;
    Array dx(std::size_t(all * inputs_), 0.0);
    for (int k = 0; k < program_.gates; ++k) {
      const int slot = program_.first_x + k;
      append(d.weight_ih, outer(slot, x_.data(), inputs_));
      append(d.bias_ih, sum(slot));
      multiply_transposed({weights_.weight_ih, k, slot, inputs_}, dgates_.data(), all, dx.data());
    }
    d.weight_hh.resize(weights_.weight_hh.size());
    d.bias_hh.resize(weights_.bias_hh.size());
    for_each_phase_slot([&](const cells::Phase& phase, int slot, int gate) {
      const Array& read = phase.of_reset ? reset_h_ : h_;
      std::ranges::copy(outer(slot, read.data(), units_),
                        d.weight_hh.begin() + gate * units_ * units_);
      std::ranges::copy(sum(slot), d.bias_hh.begin() + gate * units_);
    });
    return dx;
  }

 private:
  /// The rows of one gate of a weight, and the slot that they feed.
  struct GateRows {
    const std::vector<float>& weight;
    int gate, slot;
    std::int64_t columns;
  };

  static void append(Array& to, const Array& more) {
    to.insert(to.end(), more.begin(), more.end());
  }

  /// visit(phase, slot, gate) for everything that R feeds.
  template <typename Visit>
  void for_each_phase_slot(const Visit& visit) const {
    for (int p = 0; p < program_.phase_count; ++p)
      for (int k = 0; k < program_.phases[p].count; ++k)
        visit(program_.phases[p], program_.phases[p].first + k,
              program_.gate_of_h(program_.phases[p], k));
  }

  /// out [m, slots H] += v [m, columns] W^T.
  void multiply(const GateRows& w, const double* v, std::int64_t m, double* out) {
    pool_.parallel_for(units_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t u = begin; u < end; ++u) {
        const float* const from = w.weight.data() + (w.gate * units_ + u) * w.columns;
        for (std::int64_t k = 0; k < m; ++k) {
          const double* const with = v + k * w.columns;
          double sum = 0;
          for (std::int64_t i = 0; i < w.columns; ++i) sum += double(from[i]) * with[i];
          out[k * row_ + w.slot * units_ + u] += sum;
        }
      }
    });
  }

  /// out [m, columns] += d [m, slots H] W.
  void multiply_transposed(const GateRows& w, const double* d, std::int64_t m, double* out) {
    pool_.parallel_for(w.columns, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t u = 0; u < units_; ++u) {
        const float* const from = w.weight.data() + (w.gate * units_ + u) * w.columns;
        for (std::int64_t k = 0; k < m; ++k) {
          const double factor = d[k * row_ + w.slot * units_ + u];
          for (std::int64_t i = begin; i < end; ++i)
            out[k * w.columns + i] += factor * double(from[i]);
        }
      }
    });
  }

  /// The gradients of a slot [T N, H]^T v [T N, columns].
  Array outer(int slot, const double* v, std::int64_t columns) {
    Array out(std::size_t(units_ * columns), 0.0);
    pool_.parallel_for(units_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t u = begin; u < end; ++u)
        for (std::int64_t k = 0; k < in_.steps * batch_; ++k) {
          const double factor = dgates_[std::size_t(k * row_ + slot * units_ + u)];
          double* const to = out.data() + u * columns;
          for (std::int64_t i = 0; i < columns; ++i) to[i] += factor * v[k * columns + i];
        }
    });
    return out;
  }

  /// The sum of a slot's gradients over all rows.
  Array sum(int slot) const {
    Array out(std::size_t(units_), 0.0);
    for (std::int64_t k = 0; k < in_.steps * batch_; ++k)
      for (std::int64_t u = 0; u < units_; ++u)
        out[std::size_t(u)] += dgates_[std::size_t(k * row_ + slot * units_ + u)];
    return out;
  }

  /// body(gates, state, u): offsets of a unit's first slot and of its state at a timestep.
  template <typename Body>
  void for_each_unit(std::int64_t t, const Body& body) {
    for (std::int64_t n = 0; n < batch_; ++n)
      for (std::int64_t u = 0; u < units_; ++u)
        body(std::size_t((t * batch_ + n) * row_ + u), std::size_t((t * batch_ + n) * units_ + u),
             u);
  }

  template <typename Cell>
  void step_forward(std::int64_t t) {
    if constexpr (!Cell::kProgram.is_normalised) {
      forward_phase<Cell, 0>(t);
      if constexpr (Cell::kProgram.phase_count == 2) forward_phase<Cell, 1>(t);
    }
  }

  template <typename Cell, int number>
  void forward_phase(std::int64_t t) {
    constexpr cells::Phase phase = Cell::kProgram.phases[number];
    constexpr bool is_last = number + 1 == Cell::kProgram.phase_count;
    const std::size_t states = std::size_t(batch_ * units_);
    const Array& read = phase.of_reset ? reset_h_ : h_;
    for (int k = 0; k < phase.count; ++k)
      multiply({weights_.weight_hh, program_.gate_of_h(phase, k), phase.first + k, units_},
               read.data() + std::size_t(t) * states, batch_, gates_.data() + t * batch_ * row_);
    for_each_unit(t, [&](std::size_t g, std::size_t s, std::int64_t u) {
      cells::ForwardUnit<double, Cell::kProgram.slots> unit{};
      const auto slot = [&](int k) -> double& { return gates_[g + std::size_t(k * units_)]; };
      for (int k = 0; k < phase.active; ++k)
        unit.gate[k] = slot(k) + (k < phase.first ? 0 : bias_[std::size_t(k * units_ + u)]);
      unit.prev = Cell::kProgram.has_c ? c_[s] : h_[s];
      Cell::template forward<number>(unit);
      for (int k = phase.first; k < phase.active; ++k) slot(k) = unit.gate[k];
      if (Cell::kProgram.has_c) c_[s + states] = unit.state;
      (is_last ? h_[s + states] : reset_h_[s]) = unit.result;
    });
  }

  /// dh_ and dc_: of step t on entry, of step t - 1 on return.
  template <typename Cell>
  void step_backward(std::int64_t t) {
    Array past(std::size_t(batch_ * units_), 0.0);  // the gradient of h_{t-1}
    if constexpr (!Cell::kProgram.is_normalised) {
      if constexpr (Cell::kProgram.phase_count == 2) backward_phase<Cell, 1>(t, past);
      backward_phase<Cell, 0>(t, past);
    }
    dh_ = std::move(past);
  }

  template <typename Cell, int number>
  void backward_phase(std::int64_t t, Array& past) {
    constexpr cells::Phase phase = Cell::kProgram.phases[number];
    constexpr bool is_last = number + 1 == Cell::kProgram.phase_count;
    const std::size_t states = std::size_t(batch_ * units_), first = std::size_t(t) * states;
    for_each_unit(t, [&](std::size_t g, std::size_t s, std::int64_t) {
      cells::BackwardUnit<double, Cell::kProgram.slots> unit{};
      for (int k = 0; k < Cell::kProgram.slots; ++k)
        unit.gate[k] = gates_[g + std::size_t(k * units_)];
      unit.prev = Cell::kProgram.has_c ? c_[s] : h_[s];
      if (Cell::kProgram.has_c) unit.state = c_[s + states];
      unit.dc = dc_[s - first];
      unit.dh = is_last ? dh_[s - first] : past[s - first];
      if (!is_last) unit.dreset = dreset_[s - first];
      Cell::template backward<number>(unit);
      for (int k = phase.gradient; k < phase.gradient_end; ++k)
        dgates_[g + std::size_t(k * units_)] = unit.gate[k];
      dc_[s - first] = unit.dc;
      if (Cell::kProgram.has_direct) past[s - first] = unit.dh;
    });
    if (phase.of_reset) dreset_.assign(states, 0.0);
    for (int k = 0; k < phase.count; ++k)
      multiply_transposed(
          {weights_.weight_hh, program_.gate_of_h(phase, k), phase.first + k, units_},
          dgates_.data() + t * batch_ * row_, batch_, (phase.of_reset ? dreset_ : past).data());
  }

  const ReferenceInputs& in_;
  std::size_t layer_;
  cells::CellProgram program_;
  const LayerArrays<float>& weights_;
  host::ThreadPool& pool_;
  std::int64_t batch_, inputs_, units_, row_;
  Array x_, h_, c_;  // h and c: the initial state first
  Array bias_;       // [slots, H]
  Array gates_;      // [T, N, slots, H] activated
  Array reset_h_;    // [T, N, H] r h_{t-1}
  Array dgates_, dh_, dc_, dreset_;
};

}  // namespace

ReferenceOutputs recurrent_reference(const ReferenceInputs& inputs) {
  host::ThreadPool pool(processor_limit().processors);
  std::vector<Layer> layers;
  for (int layer = 0; layer < inputs.spec.layers(); ++layer)
    layers.emplace_back(inputs, layer, pool);
  ReferenceOutputs out;
  out.y = inputs.x;
  for (Layer& layer : layers) out.y = layer.forward(out.y);
  out.dh0.resize(layers.size());
  out.dc0.resize(layers.size());
  out.dweights.resize(layers.size());
  out.dx = inputs.dy;
  for (std::size_t k = layers.size(); k-- > 0;)
    out.dx = layers[k].backward(out.dx, out.dh0[k], out.dc0[k], out.dweights[k]);
  return out;
}

}  // namespace unroll::benchmark
