/// Recurrent networks: recurrent() is a whole stack of LSTM, GRU or Elman layers in one node, whose
/// schedule over time the device chooses. unrolled() builds a network from elementary nodes, one
/// timestep after the other, for cells of your own.
///
/// In shapes: T timesteps, N sequences, I inputs, H_l units of layer l, R_l elements of its h_t
/// (H_l without a projection), D directions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "unroll/graph.h"
#include "unroll/recurrent_spec.h"

namespace unroll {

/// Parameters of one layer in one direction, with PyTorch's shapes and gate order.
using CellWeights = CellTensors<Tensor>;

struct RecurrentWeightsOptions {
  std::string_view prefix = "rnn.";           // of the variables' names
  std::optional<Initializer> weight_ih = {};  // none: xavier() of each gate
  std::optional<Initializer> weight_hh = {};  // none: orthogonal() of each gate
  std::optional<Initializer> weight_hr = {};  // none: xavier()
  Initializer bias = constant(0);
};

/// Declares a stack's variables and returns them layer by layer, the forward direction first. They
/// have PyTorch's names: PREFIXweight_ih_l0, PREFIXweight_hh_l0, PREFIXbias_ih_l0,
/// PREFIXbias_hh_l0, with a projection PREFIXweight_hr_l0, with layer norm PREFIXgain_ih_l0,
/// PREFIXgain_hh_l0, PREFIXgain_c_l0 and PREFIXbias_c_l0, then the same with _reverse if there are
/// two directions, then layer 1.
/// Units     `input` is I, the size of the first layer's input.
/// Errors    std::invalid_argument as validate(spec), or if a variable exists with another shape.
std::vector<CellWeights> recurrent_weights(Graph& graph, const RecurrentSpec& spec,
                                           std::int64_t input,
                                           const RecurrentWeightsOptions& options = {});

struct RecurrentInputs {
  Tensor x = {};                          // [T, N, I]
  std::vector<Tensor> h0 = {}, c0 = {};   // per layer [D, N, R_l] and [D, N, H_l]; empty: zeros.
                                          // c0: only for LSTM
  std::vector<CellWeights> weights = {};  // as recurrent_weights() orders them
  Tensor lengths = {};                    // [N] int32, or empty: T. After so many steps a
                                          // sequence's state stops changing, and its y is zero
};

struct RecurrentResult {
  Tensor y;                      // [T, N, D R_L]: the last layer's output at every step
  std::vector<Tensor> h_n, c_n;  // as h0 and c0: the last states. c_n: only for LSTM
};

/// The whole stack as one node. `name` keys the dropout between layers. It has a gradient, but no
/// second one.
/// Errors    std::invalid_argument as validate(spec), or if a shape or a number of tensors differs
///           from what is said above.
RecurrentResult recurrent(const RecurrentSpec& spec, const RecurrentInputs& inputs,
                          std::string_view name = "rnn");

/// What a cell carries from one step to the next: {h}, or {h, c}, or whatever its author needs.
using CellState = std::vector<Tensor>;

/// One timestep: (x_t [N, ...], state) -> (y_t [N, ...], next state).
using Cell = std::function<std::pair<Tensor, CellState>(Tensor x_t, const CellState& state)>;

/// A built-in cell, made of elementary nodes. Reads only what the spec says about the cell.
/// Errors    std::invalid_argument as validate(spec).
Cell cell(const RecurrentSpec& spec, const CellWeights& weights);

struct Unrolled {
  Tensor y;         // [T, N, ...]: every y_t
  CellState state;  // after the last step
};

/// Applies a cell to x step by step, beginning with the state `initial`. The graph grows by one
/// copy of the cell's nodes per timestep.
/// Shapes    x [T, N, ...], whose T is not open
/// Errors    std::invalid_argument if x is empty or has another shape.
Unrolled unrolled(const Cell& cell, Tensor x, CellState initial);

/// The same as a loop in the graph: scan() with one copy of the cell's nodes, and T may be open.
/// `name` keys random numbers in the cell, which draw anew at every step.
/// Errors    std::invalid_argument as scan().
Unrolled scanned(const Cell& cell, Tensor x, CellState initial, std::string_view name = "scan");

}  // namespace unroll
