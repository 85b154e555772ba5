/// Recurrent stacks that are trained or benchmarked in practice, with their sources, and custom
/// ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unroll/recurrent_spec.h"

namespace unroll::benchmark {

struct StackShape {
  std::string name;
  std::string source;
  RecurrentSpec spec;                // one direction, no dropout
  std::int64_t steps, batch, input;  // T, B, I
};

/// The most informative first, so that an interrupted run has them.
std::vector<StackShape> named_shapes();

/// "lstm", "gru" (reset `after`), "gru_before", "rnn_tanh", "rnn_relu", "rnn_logistic".
std::vector<std::string> cell_names();
std::string cell_name(const RecurrentSpec& spec);
/// Units of each layer: "1150/1150/400".
std::string hidden_text(const RecurrentSpec& spec);

/// Names are those of the table, or "T,B,I,H,L" for a custom stack, which is called
/// "35x20x200x200x2". `cells` selects the named stacks with these cells, and runs a custom stack
/// with each; empty: the whole table, and a custom stack as LSTM. Without names: the whole table.
/// Errors    std::invalid_argument: got, expected.
std::vector<StackShape> choose_shapes(const std::vector<std::string>& names,
                                      const std::vector<std::string>& cells);

/// Floating-point operations of one timestep of all layers: only products, two per multiply-add.
double forward_flop(const StackShape& shape);
/// The same for the gradients of input, states and weights.
double backward_flop(const StackShape& shape);

}  // namespace unroll::benchmark
