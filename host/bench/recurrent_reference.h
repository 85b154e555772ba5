/// A plain recurrent stack in float64, against which fast implementations are checked before they
/// are timed. It covers a few sequences over a few timesteps. With a loss that reads only these,
/// the gradients of the weights are complete, too.
#pragma once

#include <cstdint>
#include <vector>

#include "unroll/recurrent_spec.h"

namespace unroll::benchmark {

/// The weights of one layer, [G H, I], [G H, H], [G H], [G H], or their gradients.
template <typename T>
struct LayerArrays {
  std::vector<T> weight_ih, weight_hh, bias_ih, bias_hh;
};

struct ReferenceInputs {
  RecurrentSpec spec;  // one direction, no dropout
  std::int64_t steps, batch, input;
  std::vector<double> x;                    // [T, N, I]
  std::vector<std::vector<double>> h0, c0;  // per layer [N, H]; c0: only for an LSTM
  std::vector<LayerArrays<float>> weights;
  std::vector<double> dy;  // [T, N, H_L]
};

struct ReferenceOutputs {
  std::vector<double> y;                      // [T, N, H_L]
  std::vector<double> dx;                     // [T, N, I]
  std::vector<std::vector<double>> dh0, dc0;  // per layer [N, H]
  std::vector<LayerArrays<double>> dweights;
};

ReferenceOutputs recurrent_reference(const ReferenceInputs& inputs);

}  // namespace unroll::benchmark
