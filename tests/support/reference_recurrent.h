/// A whole recurrent stack, one sequence and one unit at a time. Sources of the equations: Elman
/// 1990; Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, its projection Sak
/// et al. 2014, its layer norm Ba et al. 2016 (the supplement), its coupled gates Greff et al.
/// 2017, its capped ones Melis et al. 2018; Cho et al. 2014 (reset before); cuDNN's and PyTorch's
/// GRU (reset after).
#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/support/reference.h"
#include "unroll/recurrent_spec.h"

namespace unroll::reference {

template <typename S>
using LayerWeights = CellTensors<Array<S>>;

template <typename S>
struct RecurrentInputs {
  Array<S> x;                            // [T, N, I]
  std::vector<Array<S>> h0, c0;          // per layer [D, N, R], [D, N, H]; c0: only for an LSTM
  std::vector<LayerWeights<S>> weights;  // layer by layer, the forward direction first
  std::vector<std::int32_t> lengths;     // [N], or empty
  std::vector<Array<double>> masks;      // per layer except the last [T, N, D R], factors of its
                                         // output; empty: no dropout
};

template <typename S>
struct RecurrentOutputs {
  Array<S> y;                      // [T, N, D R]
  std::vector<Array<S>> h_n, c_n;  // as h0 and c0
};

template <typename S>
struct CellState {
  std::vector<S> h, c;
};

/// W v for one row vector v; W [R, C].
template <typename S>
std::vector<S> product(const Array<S>& w, const std::vector<S>& v) {
  std::vector<S> out(std::size_t(w.rows()));
  for (std::int64_t row = 0; row < w.rows(); ++row)
    for (std::int64_t k = 0; k < w.last(); ++k)
      out[std::size_t(row)] += w.at(row, k) * v[std::size_t(k)];
  return out;
}

/// W v + b
template <typename S>
std::vector<S> affine(const Array<S>& w, const std::vector<S>& v, const Array<S>& b) {
  std::vector<S> out = product(w, v);
  for (std::size_t k = 0; k < out.size(); ++k) out[k] += b.values[k];
  return out;
}

/// gain (v - mean) / sqrt(variance + 1e-5) + bias, with mean and variance over all elements of v.
template <typename S>
std::vector<S> layer_norm(const std::vector<S>& v, const Array<S>& gain, const Array<S>& bias) {
  using std::sqrt;
  S mean(0), variance(0);
  for (const S& x : v) mean += x / S(double(v.size()));
  for (const S& x : v) variance += (x - mean) * (x - mean) / S(double(v.size()));
  std::vector<S> out;
  for (std::size_t k = 0; k < v.size(); ++k)
    out.push_back(gain.values[k] * (v[k] - mean) / sqrt(variance + S(1e-5)) + bias.values[k]);
  return out;
}

/// One timestep of an LSTM.
template <typename S>
CellState<S> lstm_step(const RecurrentSpec& spec, const LayerWeights<S>& w, const std::vector<S>& x,
                       const CellState<S>& before) {
  using std::tanh;
  const std::size_t units = before.c.size();
  const bool norm = spec.layer_norm, coupled = spec.input_gate == InputGate::kCoupled;
  const std::vector<S> in = norm ? layer_norm(product(w.weight_ih, x), w.gain_ih, w.bias_ih)
                                 : affine(w.weight_ih, x, w.bias_ih);
  const std::vector<S> re = norm ? layer_norm(product(w.weight_hh, before.h), w.gain_hh, w.bias_hh)
                                 : affine(w.weight_hh, before.h, w.bias_hh);
  const std::size_t first = coupled ? 0 : 1;  // of f's, g's and o's rows
  std::vector<S> out;
  CellState<S> after = before;
  for (std::size_t u = 0; u < units; ++u) {
    const auto z = [&](std::size_t gate) { return in[gate * units + u] + re[gate * units + u]; };
    const S f = logistic(z(first)), g = tanh(z(first + 1));
    S i = S(1) - f;
    if (spec.input_gate == InputGate::kSeparate) i = logistic(z(0));
    if (spec.input_gate == InputGate::kCapped && real(logistic(z(0))) < real(i)) i = logistic(z(0));
    after.c[u] = f * before.c[u] + i * g;
    out.push_back(logistic(z(first + 2)));
  }
  const std::vector<S> read = norm ? layer_norm(after.c, w.gain_c, w.bias_c) : after.c;
  std::vector<S> h;
  for (std::size_t u = 0; u < units; ++u) h.push_back(out[u] * tanh(read[u]));
  after.h = spec.projection > 0 ? product(w.weight_hr, h) : h;
  return after;
}

/// One timestep of one sequence.
template <typename S>
CellState<S> cell_step(const RecurrentSpec& spec, const LayerWeights<S>& w, const std::vector<S>& x,
                       const CellState<S>& before) {
  using std::tanh;
  if (spec.cell == CellKind::kLstm) return lstm_step(spec, w, x, before);
  const std::size_t units = before.h.size();
  const std::vector<S> in = affine(w.weight_ih, x, w.bias_ih);
  const std::vector<S> re = affine(w.weight_hh, before.h, w.bias_hh);
  CellState<S> after = before;
  if (spec.cell == CellKind::kGru) {
    std::vector<S> reset(units), update(units), reset_h(units);
    for (std::size_t u = 0; u < units; ++u) {
      reset[u] = logistic(in[u] + re[u]);
      update[u] = logistic(in[units + u] + re[units + u]);
      reset_h[u] = reset[u] * before.h[u];
    }
    const std::vector<S> re_reset = affine(w.weight_hh, reset_h, w.bias_hh);
    for (std::size_t u = 0; u < units; ++u) {
      const std::size_t row = 2 * units + u;
      const S z =
          spec.reset == GruReset::kBefore ? in[row] + re_reset[row] : in[row] + reset[u] * re[row];
      after.h[u] = update[u] * before.h[u] + (S(1) - update[u]) * tanh(z);
    }
  } else {
    for (std::size_t u = 0; u < units; ++u) {
      const S z = in[u] + re[u];
      after.h[u] = spec.cell == CellKind::kRnnTanh   ? tanh(z)
                   : spec.cell == CellKind::kRnnRelu ? relu(z)
                                                     : logistic(z);
    }
  }
  return after;
}

template <typename S>
RecurrentOutputs<S> recurrent(const RecurrentSpec& spec, const RecurrentInputs<S>& in) {
  const std::int64_t steps = in.x.dims[0], batch = in.x.dims[1];
  const std::int64_t directions = spec.directions;
  const bool has_c = spec.cell == CellKind::kLstm;
  RecurrentOutputs<S> out;
  out.y = in.x;
  for (std::size_t layer = 0; layer < spec.hidden.size(); ++layer) {
    const std::int64_t units = spec.hidden[layer];
    const std::int64_t width = spec.projection > 0 ? spec.projection : units;
    const Array<S> x = std::move(out.y);
    out.y = Array<S>({steps, batch, directions * width});
    out.h_n.push_back(in.h0[layer]);
    if (has_c) out.c_n.push_back(in.c0[layer]);
    for (std::int64_t d = 0; d < directions; ++d)
      for (std::int64_t n = 0; n < batch; ++n) {
        const std::int64_t length = in.lengths.empty() ? steps : in.lengths[std::size_t(n)];
        const std::int64_t row = d * batch + n;
        CellState<S> state;
        for (std::int64_t u = 0; u < width; ++u) state.h.push_back(in.h0[layer].at(row, u));
        for (std::int64_t u = 0; has_c && u < units; ++u)
          state.c.push_back(in.c0[layer].at(row, u));
        for (std::int64_t k = 0; k < length; ++k) {
          const std::int64_t t = d == 0 ? k : length - 1 - k;
          std::vector<S> x_t;
          for (std::int64_t i = 0; i < x.last(); ++i) x_t.push_back(x.at(t * batch + n, i));
          const std::size_t which = layer * std::size_t(directions) + std::size_t(d);
          state = cell_step(spec, in.weights[which], x_t, state);
          for (std::int64_t u = 0; u < width; ++u)
            out.y.at(t * batch + n, d * width + u) = state.h[std::size_t(u)];
        }
        for (std::int64_t u = 0; u < width; ++u)
          out.h_n[layer].at(row, u) = state.h[std::size_t(u)];
        for (std::int64_t u = 0; has_c && u < units; ++u)
          out.c_n[layer].at(row, u) = state.c[std::size_t(u)];
      }
    if (layer < in.masks.size())
      for (std::size_t k = 0; k < out.y.values.size(); ++k)
        out.y.values[k] *= in.masks[layer].values[k];
  }
  return out;
}

}  // namespace unroll::reference
