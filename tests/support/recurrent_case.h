/// Recurrent stacks for tests: one table of cases, their random data, and the reference's results.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "tests/support/reference_recurrent.h"
#include "unroll/recurrent_spec.h"

namespace unroll::test {

struct CellForm {
  const char* name;
  CellKind cell;
  GruReset reset = GruReset::kAfter;
  InputGate input_gate = InputGate::kSeparate;
  bool layer_norm = false;
  bool projected = false;
};

inline constexpr std::array kCellForms{
    CellForm{"rnn_tanh", CellKind::kRnnTanh},
    CellForm{"rnn_relu", CellKind::kRnnRelu},
    CellForm{"rnn_logistic", CellKind::kRnnLogistic},
    CellForm{"lstm", CellKind::kLstm},
    CellForm{"gru before", CellKind::kGru, GruReset::kBefore},
    CellForm{"gru after", CellKind::kGru, GruReset::kAfter},
    CellForm{.name = "lstm coupled", .cell = CellKind::kLstm, .input_gate = InputGate::kCoupled},
    CellForm{.name = "lstm capped", .cell = CellKind::kLstm, .input_gate = InputGate::kCapped},
    CellForm{.name = "lstm norm", .cell = CellKind::kLstm, .layer_norm = true},
    CellForm{.name = "lstm projected", .cell = CellKind::kLstm, .projected = true},
    CellForm{.name = "lstm capped projected",
             .cell = CellKind::kLstm,
             .input_gate = InputGate::kCapped,
             .projected = true},
    CellForm{.name = "lstm capped norm",
             .cell = CellKind::kLstm,
             .input_gate = InputGate::kCapped,
             .layer_norm = true},
    CellForm{.name = "lstm coupled norm projected",
             .cell = CellKind::kLstm,
             .input_gate = InputGate::kCoupled,
             .layer_norm = true,
             .projected = true},
};

/// The spec with the form's cell. A projection keeps three quarters of the smallest layer.
inline RecurrentSpec with_form(RecurrentSpec spec, const CellForm& form) {
  spec.cell = form.cell;
  spec.reset = form.reset;
  spec.input_gate = form.input_gate;
  spec.layer_norm = form.layer_norm;
  if (form.projected) spec.projection = std::ranges::min(spec.hidden) * 3 / 4;
  return spec;
}

struct RecurrentCase {
  std::string name;
  RecurrentSpec spec;
  std::int64_t steps, batch, input;
  bool lengths = false;
};

inline std::string describe(const RecurrentCase& c) {
  std::string text = c.name + " x" + std::to_string(c.spec.directions) + " hidden";
  for (const std::int64_t units : c.spec.hidden) text += " " + std::to_string(units);
  return text + " T=" + std::to_string(c.steps) + " N=" + std::to_string(c.batch) +
         " I=" + std::to_string(c.input) + (c.lengths ? " lengths" : "");
}

/// Every cell with each (hidden, directions, T, N, I, lengths) of `shapes`. A layer of one unit has
/// no projection.
inline std::vector<RecurrentCase> recurrent_cases(const std::vector<RecurrentCase>& shapes,
                                                  std::span<const CellForm> forms = kCellForms) {
  std::vector<RecurrentCase> all;
  for (const CellForm& form : forms)
    for (RecurrentCase c : shapes) {
      if (form.projected && std::ranges::min(c.spec.hidden) == 1) continue;
      c.name = form.name;
      c.spec = with_form(c.spec, form);
      all.push_back(c);
    }
  return all;
}

/// The same without the variants that only an LSTM has.
inline std::vector<RecurrentCase> plain_recurrent_cases(const std::vector<RecurrentCase>& shapes) {
  return recurrent_cases(shapes, std::span(kCellForms).first<6>());
}

inline RecurrentCase recurrent_shape(std::vector<std::int64_t> hidden, int directions,
                                     std::int64_t steps, std::int64_t batch, std::int64_t input,
                                     bool lengths) {
  RecurrentCase c{.name = "", .spec = {}, .steps = steps, .batch = batch, .input = input};
  c.spec.hidden = std::move(hidden);
  c.spec.directions = directions;
  c.lengths = lengths;
  return c;
}

/// Weights in +-limit, biases around 0, gains below or around 1.
inline Reals random_parameter(const CellParameter& parameter, double limit, Random& random) {
  const std::string_view name = parameter.name;
  const Dims dims = dims_of(parameter.shape);
  if (name == "gain_c") return random.array(dims, 0.5, 1.5);
  if (name.starts_with("gain")) return random.array(dims, 0.25, 0.75);
  if (name.starts_with("bias")) return random.array(dims, -0.5, 0.5);
  return random.array(dims, -limit, limit);
}

/// Adds -1 or 1, in turn, to the biases of g. The units of c then differ.
inline void spread_states(int gates, Reals& bias) {
  const std::size_t units = bias.values.size() / std::size_t(gates);
  for (std::size_t u = 0; u < units; ++u)
    bias.values[std::size_t(gates - 2) * units + u] += u % 2 == 0 ? -1 : 1;
}

/// Weights in +-1 / sqrt(H), like PyTorch's initial ones: then the recurrence contracts, and
/// rounding errors do not grow from step to step. Layer norm undoes what small weights do. There
/// the gains of the sums make the recurrence contract, and units of c that differ keep it from
/// dividing by almost nothing. Lengths include 0, 1, T and values between.
inline reference::RecurrentInputs<double> recurrent_data(const RecurrentCase& c,
                                                         std::uint64_t seed) {
  Random random(seed);
  reference::RecurrentInputs<double> data;
  data.x = random.array({c.steps, c.batch, c.input}, -1, 1);
  for (int layer = 0; layer < c.spec.layers(); ++layer) {
    data.h0.push_back(random.array(dims_of(c.spec.h_shape(layer, c.batch)), -1, 1));
    if (c.spec.has_c())
      data.c0.push_back(random.array(dims_of(c.spec.c_shape(layer, c.batch)), -1, 1));
    for (int d = 0; d < c.spec.directions; ++d) {
      reference::LayerWeights<double>& w = data.weights.emplace_back();
      for (const CellParameter& p : cell_parameters(c.spec, layer, c.input))
        p.of(w) = random_parameter(p, 1 / std::sqrt(double(c.spec.units(layer))), random);
      if (c.spec.layer_norm) spread_states(c.spec.gates(), w.bias_ih);
    }
  }
  if (c.lengths)
    for (std::int64_t n = 0; n < c.batch; ++n)
      data.lengths.push_back(std::int32_t((n * 2 + 1) % (c.steps + 1)));
  if (c.lengths && c.batch > 2) data.lengths[1] = std::int32_t(c.steps), data.lengths[2] = 0;
  return data;
}

/// Calls visit(parameter) for each of the cell's parameters, in their order. `weights` has the
/// others empty.
template <typename S, typename Visit>
void for_each_parameter(const reference::LayerWeights<S>& weights, const Visit& visit) {
  static const std::vector<CellParameter> all =
      cell_parameters({.hidden = {2}, .layer_norm = true, .projection = 1}, 0, 1);
  for (const CellParameter& parameter : all)
    if (!parameter.of(weights).values.empty()) visit(parameter);
}

/// All tensors that have a gradient, in one list: x, each h0, each c0, then per layer and direction
/// the cell's parameters.
template <typename S>
std::vector<reference::Array<S>> flatten(const reference::RecurrentInputs<S>& data) {
  std::vector<reference::Array<S>> list{data.x};
  list.insert(list.end(), data.h0.begin(), data.h0.end());
  list.insert(list.end(), data.c0.begin(), data.c0.end());
  for (const reference::LayerWeights<S>& w : data.weights)
    for_each_parameter(w, [&](const CellParameter& p) { list.push_back(p.of(w)); });
  return list;
}

/// The inverse of flatten(); `like` says which there are, and has the lengths and the masks.
template <typename S>
reference::RecurrentInputs<S> unflatten(const std::vector<reference::Array<S>>& list,
                                        const reference::RecurrentInputs<double>& like) {
  reference::RecurrentInputs<S> data;
  auto next = list.begin();
  data.x = *next++;
  for (std::size_t k = 0; k < like.h0.size(); ++k) data.h0.push_back(*next++);
  for (std::size_t k = 0; k < like.c0.size(); ++k) data.c0.push_back(*next++);
  for (const reference::LayerWeights<double>& w : like.weights) {
    reference::LayerWeights<S>& cell = data.weights.emplace_back();
    for_each_parameter(w, [&](const CellParameter& p) { p.of(cell) = *next++; });
  }
  data.lengths = like.lengths;
  data.masks = like.masks;
  return data;
}

/// The names of the entries of flatten(), for messages.
inline std::vector<std::string> flat_names(const reference::RecurrentInputs<double>& data) {
  std::vector<std::string> names{"x"};
  for (std::size_t k = 0; k < data.h0.size(); ++k)
    names.push_back("h0 of layer " + std::to_string(k));
  for (std::size_t k = 0; k < data.c0.size(); ++k)
    names.push_back("c0 of layer " + std::to_string(k));
  for (std::size_t k = 0; k < data.weights.size(); ++k)
    for_each_parameter(data.weights[k], [&](const CellParameter& p) {
      names.push_back(p.name + (" " + std::to_string(k)));
    });
  return names;
}

/// Weights of y, each h_n and each c_n in the loss sum(w y) + sum(w h_n) + sum(w c_n).
struct RecurrentLoss {
  Reals y;
  std::vector<Reals> h_n, c_n;

  template <typename S>
  S operator()(const reference::RecurrentOutputs<S>& out) const {
    S loss = reference::weighted_sum(y, out.y);
    for (std::size_t k = 0; k < h_n.size(); ++k)
      loss += reference::weighted_sum(h_n[k], out.h_n[k]);
    for (std::size_t k = 0; k < c_n.size(); ++k)
      loss += reference::weighted_sum(c_n[k], out.c_n[k]);
    return loss;
  }
};

inline RecurrentLoss recurrent_loss(const reference::RecurrentOutputs<double>& out,
                                    std::uint64_t seed) {
  Random random(seed);
  RecurrentLoss loss;
  loss.y = random.array(out.y.dims, -1, 1);
  for (const Reals& h : out.h_n) loss.h_n.push_back(random.array(h.dims, -1, 1));
  for (const Reals& c : out.c_n) loss.c_n.push_back(random.array(c.dims, -1, 1));
  return loss;
}

inline reference::ComplexLoss complex_loss(const RecurrentCase& c, const RecurrentLoss& loss,
                                           const reference::RecurrentInputs<double>& data) {
  return [&c, &loss, &data](const std::vector<reference::Array<Complex>>& point) {
    return loss(reference::recurrent(c.spec, unflatten(point, data)));
  };
}

/// The roundings of an output. A pre-activation is a sum of K = I + H products of size 1 / sqrt(H),
/// whose roundings add like a random walk, plus those of an activation. The state passes them
/// through T steps and L layers, each a contraction, so they add up at most linearly. An activation
/// and the products around it count 8. Layer norm divides R h and its error by the deviation of
/// R h, some 0.2, which gains below 1 make good in part; its sums are over more elements than those
/// of R h and err less. Float32 in the reference stays within half of this bound.
inline double recurrent_ulps(const RecurrentCase& c) {
  double widest = double(c.input);
  for (const std::int64_t units : c.spec.hidden)
    widest = std::max(widest, double(c.spec.directions * units));  // no output is wider
  const double per_step = 8 + std::sqrt(2 * widest);
  return per_step * std::sqrt(double(c.steps)) * double(c.spec.layers());
}

/// The roundings of a gradient. It goes the same way back, and for a weight it sums T N products of
/// size 1, effectively sqrt(T N) of them. Under layer norm it is divided by the deviation of W x
/// too, which is small where dropout left little of x; errors of the values have been so before.
inline double recurrent_gradient_ulps(const RecurrentCase& c) {
  return (c.spec.layer_norm ? 4 : 1) * (2 * recurrent_ulps(c) + double(c.steps * c.batch));
}

}  // namespace unroll::test
