/// Recurrent networks in a graph: the fused node for a whole stack, whose schedule over time
/// belongs to the backend, and unroll(), which builds the same computation from elementary nodes,
/// one timestep at a time, for cells of one's own.
#pragma once

#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "unroll/graph.h"
#include "unroll/recurrent_spec.h"

namespace unroll {

/// Weights of one layer in one direction: PyTorch's shapes and gate order. G = gates_of(cell).
struct CellWeights {
  Tensor weight_ih;  // [G H, I]
  Tensor weight_hh;  // [G H, H]
  Tensor bias_ih;    // [G H]
  Tensor bias_hh;    // [G H]
};

struct RecurrentInitializers {
  Initializer weight_ih, weight_hh, bias;
};

/// Variables `prefix`weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, (..._reverse), ...l1:
/// layer by layer, the forward direction first.
std::vector<CellWeights> recurrent_weights(Graph& graph, const RecurrentSpec& spec,
                                           std::int64_t input, std::string_view prefix,
                                           const RecurrentInitializers& initializers);

struct RecurrentResult {
  Tensor y;                      // [T, N, D H_L]
  std::vector<Tensor> h_n, c_n;  // per layer [D, N, H_l]; c_n: LSTM alone
};

struct RecurrentInputs {
  Tensor x;                          // [T, N, I]
  std::vector<Tensor> h0, c0;        // per layer [D, N, H_l]; empty: zeros
  std::vector<CellWeights> weights;  // as recurrent_weights() orders them
  Tensor lengths;                    // [N] int32, or none: a sequence's state stops changing
                                     // after so many steps, and its y is zero there
};

/// The whole stack as one node. `name` keys the dropout between layers.
RecurrentResult recurrent(const RecurrentSpec& spec, const RecurrentInputs& inputs,
                          std::string_view name = "rnn");

/// What a cell carries from one step to the next: {h}, or {h, c}, or what its author needs.
using CellState = std::vector<Tensor>;

/// One timestep: (x_t [N, I], state) -> (y_t, next state).
using Cell = std::function<std::pair<Tensor, CellState>(Tensor x_t, const CellState& state)>;

/// The built-in cells from elementary nodes.
Cell cell(const RecurrentSpec& spec, const CellWeights& weights);

struct Unrolled {
  Tensor y;         // [T, N, ...]
  CellState state;  // after the last step
};

/// Applies `cell` along the first axis of x [T, N, I], whose T must not be open.
Unrolled unroll(const Cell& cell, Tensor x, CellState initial);

}  // namespace unroll
