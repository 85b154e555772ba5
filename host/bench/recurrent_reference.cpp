#include "host/bench/recurrent_reference.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "host/cpu/thread_pool.h"
#include "unroll/cells/gru.h"
#include "unroll/cells/lstm.h"
#include "unroll/cells/rnn.h"
#include "unroll/cpu_limits.h"

namespace unroll::benchmark {
namespace {

using Array = std::vector<double>;

/// One layer. Rows of arrays are (timestep, sequence) pairs; P = G H is the number of rows of W.
class Layer {
 public:
  Layer(const ReferenceInputs& in, std::size_t layer, std::int64_t input, host::ThreadPool& pool)
      : in_(in),
        layer_(layer),
        weights_(in.weights[layer]),
        pool_(pool),
        batch_(in.batch),
        inputs_(input),
        units_(in.spec.hidden[layer]),
        rows_(gates_of(in.spec.cell) * units_) {}

  /// x [T, N, I] in; returns h [T, N, H].
  Array forward(const Array& x) {
    x_ = x;
    const std::int64_t states = batch_ * units_;
    h_ = in_.h0[layer_];
    h_.resize(std::size_t((in_.steps + 1) * states));
    if (is_lstm()) {
      c_ = in_.c0[layer_];
      c_.resize(h_.size());
    }
    gates_.assign(std::size_t(in_.steps * batch_ * rows_), 0);
    q_.assign(std::size_t(in_.steps * states), 0);
    multiply(weights_.weight_ih, 0, rows_, inputs_, x_.data(), in_.steps * batch_, gates_.data());
    for (std::int64_t t = 0; t < in_.steps; ++t) step_forward(t);
    return {h_.begin() + std::ptrdiff_t(states), h_.end()};
  }

  /// dy [T, N, H] in; returns dx [T, N, I].
  Array backward(const Array& dy, Array& dh0, Array& dc0, LayerArrays<double>& d) {
    const std::int64_t states = batch_ * units_;
    dgates_.assign(gates_.size(), 0);
    dq_.assign(gates_.size(), 0);  // gradients of R's products
    dh_.assign(std::size_t(states), 0);
    dc_.assign(std::size_t(states), 0);
    for (std::int64_t t = in_.steps; t-- > 0;) {
      for (std::int64_t k = 0; k < states; ++k)
        dh_[std::size_t(k)] += dy[std::size_t(t * states + k)];
      step_backward(t);
    }
    dh0 = dh_;
    if (is_lstm()) dc0 = dc_;
    const std::int64_t all = in_.steps * batch_;
    d.weight_ih = outer(dgates_, 0, rows_, x_.data(), inputs_);
    d.weight_hh = outer(dq_, 0, is_before() ? 2 * units_ : rows_, h_.data(), units_);
    if (is_before()) {  // the rows of n multiply r h_{t-1}, which q holds
      const Array n = outer(dq_, 2 * units_, rows_, q_.data(), units_);
      d.weight_hh.insert(d.weight_hh.end(), n.begin(), n.end());
    }
    d.bias_ih.assign(std::size_t(rows_), 0);
    d.bias_hh.assign(std::size_t(rows_), 0);
    for (std::int64_t k = 0; k < all * rows_; ++k) {
      d.bias_ih[std::size_t(k % rows_)] += dgates_[std::size_t(k)];
      d.bias_hh[std::size_t(k % rows_)] += dq_[std::size_t(k)];
    }
    Array dx(std::size_t(all * inputs_), 0.0);
    multiply_transposed(weights_.weight_ih, 0, rows_, inputs_, dgates_.data(), all, dx.data());
    return dx;
  }

 private:
  bool is_lstm() const { return in_.spec.cell == CellKind::kLstm; }
  bool is_gru() const { return in_.spec.cell == CellKind::kGru; }
  bool is_before() const { return is_gru() && in_.spec.reset == GruReset::kBefore; }

  /// out [m, P] += v [m, columns] W^T for W's rows [first, last).
  void multiply(const std::vector<float>& w, std::int64_t first, std::int64_t last,
                std::int64_t columns, const double* v, std::int64_t m, double* out) {
    pool_.parallel_for(last - first, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = first + begin; row < first + end; ++row) {
        const float* const from = w.data() + row * columns;
        for (std::int64_t k = 0; k < m; ++k) {
          const double* const with = v + k * columns;
          double sum = 0;
          for (std::int64_t i = 0; i < columns; ++i) sum += double(from[i]) * with[i];
          out[k * rows_ + row] += sum;
        }
      }
    });
  }

  /// out [m, columns] += v [m, P] W for W's rows [first, last).
  void multiply_transposed(const std::vector<float>& w, std::int64_t first, std::int64_t last,
                           std::int64_t columns, const double* v, std::int64_t m, double* out) {
    pool_.parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = first; row < last; ++row)
        for (std::int64_t k = 0; k < m; ++k) {
          const double factor = v[k * rows_ + row];
          for (std::int64_t i = begin; i < end; ++i)
            out[k * columns + i] += factor * double(w[std::size_t(row * columns + i)]);
        }
    });
  }

  /// Rows [first, last) of d [T N, P]^T v [T N, columns].
  Array outer(const Array& d, std::int64_t first, std::int64_t last, const double* v,
              std::int64_t columns) {
    Array out(std::size_t((last - first) * columns), 0.0);
    pool_.parallel_for(last - first, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        for (std::int64_t k = 0; k < in_.steps * batch_; ++k) {
          const double factor = d[std::size_t(k * rows_ + first + row)];
          double* const to = out.data() + row * columns;
          for (std::int64_t i = 0; i < columns; ++i) to[i] += factor * v[k * columns + i];
        }
    });
    return out;
  }

  /// body(gates, state): offsets of a unit's first gate and of its state at a timestep.
  template <typename Body>
  void for_each_unit(std::int64_t t, const Body& body) {
    for (std::int64_t n = 0; n < batch_; ++n)
      for (std::int64_t u = 0; u < units_; ++u)
        body(std::size_t((t * batch_ + n) * rows_ + u), std::size_t((t * batch_ + n) * units_ + u),
             std::size_t(u));
  }

  double bias(std::size_t row) const {
    return double(weights_.bias_ih[row]) + double(weights_.bias_hh[row]);
  }

  void step_forward(std::int64_t t) {
    const std::size_t h = std::size_t(units_), states = std::size_t(batch_ * units_);
    const double* const h_prev = h_.data() + std::size_t(t) * states;
    Array r(std::size_t(batch_ * rows_), 0.0);  // R h_{t-1}
    multiply(weights_.weight_hh, 0, is_before() ? 2 * units_ : rows_, units_, h_prev, batch_,
             r.data());
    const std::size_t first = std::size_t(t * batch_ * rows_);
    for_each_unit(t, [&](std::size_t g, std::size_t s, std::size_t u) {
      const auto z = [&](std::size_t gate) {
        return gates_[g + gate * h] + r[g - first + gate * h] + bias(u + gate * h);
      };
      if (is_lstm()) {
        const auto y = cells::lstm_activate(cells::LstmGates<double>{z(0), z(1), z(2), z(3)});
        const auto state = cells::lstm_forward(y, c_[s]);
        h_[s + states] = state.h;
        c_[s + states] = state.c;
        gates_[g] = y.i, gates_[g + h] = y.f, gates_[g + 2 * h] = y.g, gates_[g + 3 * h] = y.o;
      } else if (is_before()) {
        cells::GruGates<double> y{z(0), z(1), 0, 0};
        q_[s] = cells::gru_before_reset(y, h_[s]);
        gates_[g] = y.r, gates_[g + h] = y.z;
      } else if (is_gru()) {
        cells::GruGates<double> y{z(0), z(1),
                                  gates_[g + 2 * h] + double(weights_.bias_ih[u + 2 * h]),
                                  r[g - first + 2 * h] + double(weights_.bias_hh[u + 2 * h])};
        h_[s + states] = cells::gru_after_forward(y, h_[s]);
        gates_[g] = y.r, gates_[g + h] = y.z, gates_[g + 2 * h] = y.n, q_[s] = y.q;
      } else {
        h_[s + states] = elman([&](auto kind) { return cells::rnn_forward<kind()>(z(0)); });
      }
    });
    if (!is_before()) return;
    std::fill(r.begin(), r.end(), 0.0);
    multiply(weights_.weight_hh, 2 * units_, rows_, units_, q_.data() + std::size_t(t) * states,
             batch_, r.data());
    for_each_unit(t, [&](std::size_t g, std::size_t s, std::size_t u) {
      cells::GruGates<double> y{gates_[g], gates_[g + h],
                                gates_[g + 2 * h] + r[g - first + 2 * h] + bias(u + 2 * h), 0};
      h_[s + states] = cells::gru_before_forward(y, h_[s]);
      gates_[g + 2 * h] = y.n;
    });
  }

  /// dh_ and dc_: of step t on entry, of step t - 1 on return.
  void step_backward(std::int64_t t) {
    const std::size_t h = std::size_t(units_), states = std::size_t(batch_ * units_);
    const std::size_t first = std::size_t(t) * states;
    Array past(states, 0.0);  // the gradient of h_{t-1} besides the products
    const auto set = [&](std::size_t at, double d_of_w, double d_of_r) {
      dgates_[at] = d_of_w;
      dq_[at] = d_of_r;
    };
    for_each_unit(t, [&](std::size_t g, std::size_t s, std::size_t) {
      const double dh = dh_[s - first];
      if (is_lstm()) {
        const cells::LstmGates<double> y{gates_[g], gates_[g + h], gates_[g + 2 * h],
                                         gates_[g + 3 * h]};
        const auto d = cells::lstm_backward(y, c_[s], c_[s + states], dh, dc_[s - first]);
        set(g, d.i, d.i), set(g + h, d.f, d.f), set(g + 2 * h, d.g, d.g), set(g + 3 * h, d.o, d.o);
      } else if (is_gru()) {
        const cells::GruGates<double> y{gates_[g], gates_[g + h], gates_[g + 2 * h], q_[s]};
        if (is_before()) {
          cells::GruGates<double> d{};
          cells::gru_mix_backward(y, h_[s], dh, d, past[s - first]);
          set(g + h, d.z, d.z), set(g + 2 * h, d.n, d.n);
        } else {
          const auto d = cells::gru_after_backward(y, h_[s], dh, past[s - first]);
          set(g, d.r, d.r), set(g + h, d.z, d.z), set(g + 2 * h, d.n, d.q);
        }
      } else {
        const double d =
            elman([&](auto kind) { return cells::rnn_backward<kind()>(h_[s + states], dh); });
        set(g, d, d);
      }
    });
    const double* const dq = dq_.data() + std::size_t(t * batch_ * rows_);
    if (is_before()) {
      Array dreset(states, 0.0);
      multiply_transposed(weights_.weight_hh, 2 * units_, rows_, units_, dq, batch_, dreset.data());
      for_each_unit(t, [&](std::size_t g, std::size_t s, std::size_t) {
        const double d =
            cells::gru_before_reset_backward(gates_[g], h_[s], dreset[s - first], past[s - first]);
        set(g, d, d);
      });
    }
    multiply_transposed(weights_.weight_hh, 0, is_before() ? 2 * units_ : rows_, units_, dq, batch_,
                        past.data());
    dh_ = std::move(past);
  }

  /// Calls f with the cell's activation as a constant.
  template <typename F>
  double elman(const F& f) const {
    using cells::Activation;
    switch (in_.spec.cell) {
      case CellKind::kRnnTanh:
        return f([] { return Activation::kTanh; });
      case CellKind::kRnnRelu:
        return f([] { return Activation::kRelu; });
      default:
        return f([] { return Activation::kLogistic; });
    }
  }

  const ReferenceInputs& in_;
  std::size_t layer_;
  const LayerArrays<float>& weights_;
  host::ThreadPool& pool_;
  std::int64_t batch_, inputs_, units_, rows_;
  Array x_, h_, c_;  // h and c: the initial state first
  Array gates_;      // [T, N, P] activated
  Array q_;          // [T, N, H] GRU: q of the `after` form, r h_{t-1} of the `before` form
  Array dgates_, dq_, dh_, dc_;
};

}  // namespace

ReferenceOutputs recurrent_reference(const ReferenceInputs& inputs) {
  host::ThreadPool pool(processor_limit().processors);
  std::vector<Layer> layers;
  std::int64_t width = inputs.input;
  for (std::size_t k = 0; k < inputs.spec.hidden.size(); ++k) {
    layers.emplace_back(inputs, k, width, pool);
    width = inputs.spec.hidden[k];
  }
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
