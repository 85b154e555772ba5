/// Recurrence from elementary nodes: the built-in cells as a user would write them, and unrolled().
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

Step lstm_step(const CellWeights& w, Tensor x, const CellState& state) {
  const std::int64_t units = w.weight_hh.shape()[1];
  const Tensor z = product(x, w.weight_ih) + w.bias_ih + product(state[0], w.weight_hh) + w.bias_hh;
  const Tensor i = logistic(gate(z, 0, units)), f = logistic(gate(z, 1, units));
  const Tensor g = tanh(gate(z, 2, units)), o = logistic(gate(z, 3, units));
  const Tensor c = f * state[1] + i * g;
  const Tensor h = o * tanh(c);
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
        return lstm_step(weights, x, state);
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

}  // namespace unroll
