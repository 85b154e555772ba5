/// What --rnn-algorithm takes of the library's algorithms, and how it refuses the others.
#pragma once

#include <string>

#include "unroll/recurrent_algorithm.h"

namespace unroll::cli {

/// The algorithm called `name`.
/// Errors    UsageError for another name, and for an algorithm that is only for comparisons.
RecurrentAlgorithm choose_rnn_algorithm(const std::string& name);

/// The line that refuses the algorithm, given the answer of why_not(); empty if that is.
std::string refusal_of(const RecurrentAlgorithm& algorithm, const std::string& why);

}  // namespace unroll::cli
