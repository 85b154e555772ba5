/// Recurrent stacks that people train or measure, and where each comes from; or one that somebody
/// asks about.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unroll/recurrent_spec.h"

namespace unroll::benchmark {

struct StackShape {
  std::string name;
  std::string source;
  RecurrentSpec spec;                // of one direction, without dropout
  std::int64_t steps, batch, input;  // T, B, I
};

/// The most telling first, so that a run that is cut short has them.
std::vector<StackShape> named_shapes();

/// "lstm", "gru" (reset `after`), "gru_before", "rnn_tanh", "rnn_relu", "rnn_logistic".
std::vector<std::string> cell_names();
std::string cell_name(const RecurrentSpec& spec);
/// Units of each layer: "1150/1150/400".
std::string hidden_text(const RecurrentSpec& spec);

/// Names are those of the table or "T,B,I,H,L" for a stack of one's own, which is called
/// "35x20x200x200x2". `cells`: of named stacks those of these cells, and one's own with each;
/// empty: all of the table, and one's own as LSTM. Without names: the whole table. Errors
/// std::invalid_argument: got, expected.
std::vector<StackShape> choose_shapes(const std::vector<std::string>& names,
                                      const std::vector<std::string>& cells);

/// Floating-point operations of one timestep of all layers: products alone, each multiply-add two.
double forward_flop(const StackShape& shape);
/// The gradients of input, states and weights.
double backward_flop(const StackShape& shape);

}  // namespace unroll::benchmark
