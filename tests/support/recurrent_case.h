/// Recurrent stacks for tests: one table of cases, their random data, and the reference's results.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
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
};

inline constexpr CellForm kCellForms[] = {
    {"rnn_tanh", CellKind::kRnnTanh},
    {"rnn_relu", CellKind::kRnnRelu},
    {"rnn_logistic", CellKind::kRnnLogistic},
    {"lstm", CellKind::kLstm},
    {"gru before", CellKind::kGru, GruReset::kBefore},
    {"gru after", CellKind::kGru, GruReset::kAfter},
};

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

/// Every cell with each (hidden, directions, T, N, I, lengths) of `shapes`.
inline std::vector<RecurrentCase> recurrent_cases(const std::vector<RecurrentCase>& shapes) {
  std::vector<RecurrentCase> all;
  for (const CellForm& form : kCellForms)
    for (RecurrentCase c : shapes) {
      c.name = form.name;
      c.spec.cell = form.cell;
      c.spec.reset = form.reset;
      all.push_back(c);
    }
  return all;
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

/// Weights in +-1 / sqrt(H), like PyTorch's initial ones: then the recurrence contracts, and
/// rounding errors do not grow from step to step. Lengths include 0, 1, T and values between.
inline reference::RecurrentInputs<double> recurrent_data(const RecurrentCase& c,
                                                         std::uint64_t seed) {
  Random random(seed);
  reference::RecurrentInputs<double> data;
  data.x = random.array({c.steps, c.batch, c.input}, -1, 1);
  std::int64_t input = c.input;
  for (const std::int64_t units : c.spec.hidden) {
    const double limit = 1 / std::sqrt(double(units));
    const std::int64_t rows = c.spec.gates() * units;
    data.h0.push_back(random.array({c.spec.directions, c.batch, units}, -1, 1));
    if (c.spec.cell == CellKind::kLstm)
      data.c0.push_back(random.array({c.spec.directions, c.batch, units}, -1, 1));
    for (int d = 0; d < c.spec.directions; ++d)
      data.weights.push_back({random.array({rows, input}, -limit, limit),
                              random.array({rows, units}, -limit, limit),
                              random.array({rows}, -0.5, 0.5), random.array({rows}, -0.5, 0.5)});
    input = c.spec.directions * units;
  }
  if (c.lengths)
    for (std::int64_t n = 0; n < c.batch; ++n)
      data.lengths.push_back(std::int32_t((n * 2 + 1) % (c.steps + 1)));
  if (c.lengths && c.batch > 2) data.lengths[1] = std::int32_t(c.steps), data.lengths[2] = 0;
  return data;
}

/// All tensors that have a gradient, in one list: x, each h0, each c0, then per layer and direction
/// weight_ih, weight_hh, bias_ih, bias_hh.
template <typename S>
std::vector<reference::Array<S>> flatten(const reference::RecurrentInputs<S>& data) {
  std::vector<reference::Array<S>> list{data.x};
  list.insert(list.end(), data.h0.begin(), data.h0.end());
  list.insert(list.end(), data.c0.begin(), data.c0.end());
  for (const reference::LayerWeights<S>& w : data.weights)
    list.insert(list.end(), {w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh});
  return list;
}

/// The inverse of flatten(); `like` has the number of each, the lengths and the masks.
template <typename S>
reference::RecurrentInputs<S> unflatten(const std::vector<reference::Array<S>>& list,
                                        const reference::RecurrentInputs<double>& like) {
  reference::RecurrentInputs<S> data;
  auto next = list.begin();
  data.x = *next++;
  for (std::size_t k = 0; k < like.h0.size(); ++k) data.h0.push_back(*next++);
  for (std::size_t k = 0; k < like.c0.size(); ++k) data.c0.push_back(*next++);
  for (std::size_t k = 0; k < like.weights.size(); ++k, next += 4)
    data.weights.push_back({next[0], next[1], next[2], next[3]});
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
    for (const char* name : {"weight_ih ", "weight_hh ", "bias_ih ", "bias_hh "})
      names.push_back(name + std::to_string(k));
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
/// and the products around it count 8.
inline double recurrent_ulps(const RecurrentCase& c) {
  double widest = double(c.input);
  for (const std::int64_t units : c.spec.hidden)
    widest = std::max(widest, double(c.spec.directions * units));
  const double per_step = 8 + std::sqrt(2 * widest);
  return per_step * std::sqrt(double(c.steps)) * double(c.spec.layers());
}

/// The roundings of a gradient. It goes the same way back, and for a weight it sums T N products of
/// size 1, effectively sqrt(T N) of them.
inline double recurrent_gradient_ulps(const RecurrentCase& c) {
  return 2 * recurrent_ulps(c) + double(c.steps * c.batch);
}

}  // namespace unroll::test
