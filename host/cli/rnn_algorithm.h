/// The values of --rnn-algorithm, and the cells and devices that each works with.
#pragma once

#include <string>

#include "unroll/recurrent_spec.h"

namespace unroll::cli {

/// Throws UsageError unless it is auto, stepwise, stepwise:K with K >= 1, persistent, two of these
/// as FORWARD+BACKWARD, cudnn or cudnn:FORM.
void check_rnn_algorithm(const std::string& name);
/// Also throws UsageError if the algorithm does not compute such cells.
void check_rnn_algorithm(const std::string& name, CellKind cell, GruReset reset);

/// One line on why the CPU does not have this algorithm; empty if it does.
std::string why_not_on_cpu(const std::string& rnn_algorithm);

}  // namespace unroll::cli
