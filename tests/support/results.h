/// Benchmark rows for tests.
#pragma once

#include <string>

#include "host/bench/report/results.h"

namespace unroll::test {

/// A forward pass of an LSTM in fp32.
inline benchmark::Case case_of(const std::string& shape) {
  return {"rnn", shape, "lstm", 35, 20, 200, "200/200", "fp32", "forward"};
}

inline benchmark::Result timed(const benchmark::Case& of, const std::string& program,
                               const std::string& algorithm, double median) {
  return {
      .of = of, .program = program, .algorithm = algorithm, .execution = "graph", .median = median};
}

inline benchmark::Result refused(const benchmark::Case& of, const std::string& program,
                                 const std::string& algorithm, const std::string& why) {
  return {
      .of = of, .program = program, .algorithm = algorithm, .execution = "graph", .status = why};
}

}  // namespace unroll::test
