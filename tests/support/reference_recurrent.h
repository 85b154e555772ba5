/// A whole recurrent stack, one sequence and one unit at a time. Sources of the equations: Elman
/// 1990; Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014
/// (reset before); cuDNN's and PyTorch's GRU (reset after).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/support/reference.h"
#include "unroll/recurrent_spec.h"

namespace unroll::reference {

template <typename S>
struct LayerWeights {
  Array<S> weight_ih, weight_hh;  // [G H, I], [G H, H]
  Array<S> bias_ih, bias_hh;      // [G H]
};

template <typename S>
struct RecurrentInputs {
  Array<S> x;                            // [T, N, I]
  std::vector<Array<S>> h0, c0;          // per layer [D, N, H]; c0: only for an LSTM
  std::vector<LayerWeights<S>> weights;  // layer by layer, the forward direction first
  std::vector<std::int32_t> lengths;     // [N], or empty
  std::vector<Array<double>> masks;      // per layer except the last [T, N, D H], factors of its
                                         // output; empty: no dropout
};

template <typename S>
struct RecurrentOutputs {
  Array<S> y;                      // [T, N, D H]
  std::vector<Array<S>> h_n, c_n;  // per layer [D, N, H]
};

template <typename S>
struct CellState {
  std::vector<S> h, c;
};

/// W v + b for one row vector v; W [R, C].
template <typename S>
std::vector<S> affine(const Array<S>& w, const std::vector<S>& v, const Array<S>& b) {
  std::vector<S> out(b.values);
  for (std::int64_t row = 0; row < w.rows(); ++row)
    for (std::int64_t k = 0; k < w.last(); ++k)
      out[std::size_t(row)] += w.at(row, k) * v[std::size_t(k)];
  return out;
}

/// One timestep of one sequence.
template <typename S>
CellState<S> cell_step(const RecurrentSpec& spec, const LayerWeights<S>& w, const std::vector<S>& x,
                       const CellState<S>& before) {
  const std::size_t units = before.h.size();
  const std::vector<S> in = affine(w.weight_ih, x, w.bias_ih);
  const std::vector<S> re = affine(w.weight_hh, before.h, w.bias_hh);
  CellState<S> after = before;
  if (spec.cell == CellKind::kLstm) {
    for (std::size_t u = 0; u < units; ++u) {
      const auto z = [&](std::size_t gate) { return in[gate * units + u] + re[gate * units + u]; };
      const S i = logistic(z(0)), f = logistic(z(1)), g = std::tanh(z(2)), o = logistic(z(3));
      after.c[u] = f * before.c[u] + i * g;
      after.h[u] = o * std::tanh(after.c[u]);
    }
  } else if (spec.cell == CellKind::kGru) {
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
      after.h[u] = update[u] * before.h[u] + (S(1) - update[u]) * std::tanh(z);
    }
  } else {
    for (std::size_t u = 0; u < units; ++u) {
      const S z = in[u] + re[u];
      after.h[u] = spec.cell == CellKind::kRnnTanh   ? std::tanh(z)
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
    const Array<S> x = std::move(out.y);
    out.y = Array<S>({steps, batch, directions * units});
    out.h_n.push_back(in.h0[layer]);
    if (has_c) out.c_n.push_back(in.c0[layer]);
    for (std::int64_t d = 0; d < directions; ++d)
      for (std::int64_t n = 0; n < batch; ++n) {
        const std::int64_t length = in.lengths.empty() ? steps : in.lengths[std::size_t(n)];
        const std::int64_t row = d * batch + n;
        CellState<S> state;
        for (std::int64_t u = 0; u < units; ++u) {
          state.h.push_back(in.h0[layer].at(row, u));
          if (has_c) state.c.push_back(in.c0[layer].at(row, u));
        }
        for (std::int64_t k = 0; k < length; ++k) {
          const std::int64_t t = d == 0 ? k : length - 1 - k;
          std::vector<S> x_t;
          for (std::int64_t i = 0; i < x.last(); ++i) x_t.push_back(x.at(t * batch + n, i));
          const std::size_t which = layer * std::size_t(directions) + std::size_t(d);
          state = cell_step(spec, in.weights[which], x_t, state);
          for (std::int64_t u = 0; u < units; ++u)
            out.y.at(t * batch + n, d * units + u) = state.h[std::size_t(u)];
        }
        for (std::int64_t u = 0; u < units; ++u) {
          out.h_n[layer].at(row, u) = state.h[std::size_t(u)];
          if (has_c) out.c_n[layer].at(row, u) = state.c[std::size_t(u)];
        }
      }
    if (layer < in.masks.size())
      for (std::size_t k = 0; k < out.y.values.size(); ++k)
        out.y.values[k] *= in.masks[layer].values[k];
  }
  return out;
}

}  // namespace unroll::reference
