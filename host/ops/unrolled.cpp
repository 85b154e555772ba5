/// Recurrence from elementary nodes: the built-in cells as a user would write them, and unrolled().
#include "unroll/cells/lstm.h"
#include "unroll/ops.h"
#include "unroll/recurrent.h"

namespace unroll {
namespace {

using Step = std::pair<Tensor, CellState>;

Tensor product(Tensor x, Tensor weight) {
  return matmul(x, weight, {.transpose_b = true});
}

Tensor gate(Tensor z, int index, std::int64_t units) {
  return slice(z, 1, index * units, (index + 1) * units);
}

Step rnn_step(CellKind kind, const CellWeights& w, Tensor x, const CellState& state) {
  const Tensor z = product(x, w.weight_ih) + w.bias_ih + product(state[0], w.weight_hh) + w.bias_hh;
  const Tensor h = kind == CellKind::kRnnTanh   ? tanh(z)
                   : kind == CellKind::kRnnRelu ? relu(z)
                                                : logistic(z);
  return {h, {h}};
}

/// (v - mean(v)) / sqrt(variance(v) + 1e-5) of each row, times a gain.
Tensor normalised(Tensor v, Tensor gain) {
  const Tensor centred = v - reduce_mean(v, 1, {.keep_dims = true});
  const Tensor variance = reduce_mean(centred * centred, 1, {.keep_dims = true});
  return centred * exp(-0.5 * log(variance + double(cells::kNormEpsilon))) * gain;
}

Step lstm_step(const RecurrentSpec& spec, const CellWeights& w, Tensor x, const CellState& state) {
  const std::int64_t units = w.weight_hh.shape()[0] / spec.gates();
  Tensor zx = product(x, w.weight_ih), zh = product(state[0], w.weight_hh);
  if (spec.layer_norm) {
    zx = normalised(zx, w.gain_ih);
    zh = normalised(zh, w.gain_hh);
  }
  const Tensor z = zx + w.bias_ih + zh + w.bias_hh;
  const int last = spec.gates() - 1;
  const Tensor f = logistic(gate(z, last - 2, units)), g = tanh(gate(z, last - 1, units));
  const Tensor o = logistic(gate(z, last, units));
  Tensor i = 1 - f;
  if (spec.input_gate == InputGate::kSeparate) i = logistic(gate(z, 0, units));
  if (spec.input_gate == InputGate::kCapped) i = i - relu(i - logistic(gate(z, 0, units)));
  const Tensor c = f * state[1] + i * g;
  Tensor h = o * tanh(spec.layer_norm ? normalised(c, w.gain_c) + w.bias_c : c);
  if (spec.projection > 0) h = product(h, w.weight_hr);
  return {h, {h, c}};
}

Step gru_step(GruReset reset, const CellWeights& w, Tensor x, const CellState& state) {
  const std::int64_t units = w.weight_hh.shape()[1];
  const Tensor h_prev = state[0];
  const Tensor zx = product(x, w.weight_ih) + w.bias_ih;
  const auto recurrent_product = [&](Tensor h, int first, int last) {
    return product(h, slice(w.weight_hh, 0, first * units, last * units)) +
           slice(w.bias_hh, 0, first * units, last * units);
  };
  const Tensor rz = logistic(slice(zx, 1, 0, 2 * units) + recurrent_product(h_prev, 0, 2));
  const Tensor r = gate(rz, 0, units), z = gate(rz, 1, units);
  const Tensor n =
      tanh(gate(zx, 2, units) + (reset == GruReset::kBefore ? recurrent_product(r * h_prev, 2, 3)
                                                            : r * recurrent_product(h_prev, 2, 3)));
  const Tensor h = z * h_prev + (1 - z) * n;
  return {h, {h}};
}

}  // namespace

Cell cell(const RecurrentSpec& spec, const CellWeights& weights) {
  validate(spec);
  return [spec, weights](Tensor x, const CellState& state) {
    switch (spec.cell) {
      case CellKind::kLstm:
        return lstm_step(spec, weights, x, state);
      case CellKind::kGru:
        return gru_step(spec.reset, weights, x, state);
      default:
        return rnn_step(spec.cell, weights, x, state);
    }
  };
}

Unrolled unrolled(const Cell& cell, Tensor x, CellState initial) {
  if (!x || x.shape().rank() < 2 || x.shape()[0] == kOpen)
    throw std::invalid_argument("unrolled: got x " +
                                (x ? to_string(x.shape()) : std::string("empty")) +
                                ", expected [T, N, ...] with a fixed T");
  const auto without_first = [](Shape shape) { return shape.without(0); };
  CellState state = std::move(initial);
  std::vector<Tensor> rows;
  for (std::int64_t t = 0; t < x.shape()[0]; ++t) {
    const Tensor x_t = reshape(slice(x, 0, t, t + 1), without_first(x.shape()));
    auto [y, next] = cell(x_t, state);
    state = std::move(next);
    Shape row{1};
    for (const std::int64_t dim : y.shape().dims()) row.append(dim);
    rows.push_back(reshape(y, row));
  }
  return {concat(rows, 0), std::move(state)};
}

Unrolled scanned(const Cell& cell, Tensor x, CellState initial, std::string_view name) {
  const ScanBody step = [&](const std::vector<Tensor>& states,
                            const std::vector<Tensor>& elements) -> ScanStep {
    auto [y, next] = cell(elements[0], states);
    return {std::move(next), {y}};
  };
  ScanResult result = scan(step, initial, {x}, name);
  return {result.outputs[0], std::move(result.states)};
}

}  // namespace unroll
