/// oneDNN's primitives for a stack of layers of one size, and their memory descriptors. Versions 2
/// and 3 of oneDNN differ only here. Source: oneDNN's developer guide, "RNN".
#pragma once

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "unroll/recurrent_spec.h"

namespace unroll::benchmark {

/// If there is more than one layer: one direction and I = H.
struct EqualLayers {
  CellKind cell;
  GruReset reset;
  std::int64_t gates;
  std::int64_t layers, directions;
  std::int64_t steps, batch, input, hidden;  // T, N, I, H
  bool training;
};

/// A primitive and the layouts it has chosen.
struct Primitive {
  dnnl::primitive run;
  std::string implementation;                        // oneDNN's name for it
  dnnl::memory::desc weights_layer, weights_iter;    // [L, D, I or H, G, H]
  dnnl::memory::desc dweights_layer, dweights_iter;  // backward only
  dnnl::memory::desc workspace, scratchpad;
};

struct LayerPrimitives {
  const char* cell;                      // oneDNN's name for it
  dnnl::memory::desc x, y, state, bias;  // [T, N, I], [T, N, D H], [L, D, N, H], [L, D, G', H]
  Primitive forward, backward;           // backward: only in training
};

/// oneDNN's gate k is our gate gate_order()[k]: its GRUs have u, r, o, which are our z, r, n.
std::vector<std::int64_t> gate_order(CellKind cell);

/// Rows of bias, G': linear-before-reset GRUs have one more, for the candidate's recurrent product.
std::int64_t bias_rows(const EqualLayers& shape);

/// Errors    dnnl::error if oneDNN has no such primitive.
LayerPrimitives layer_primitives(const dnnl::engine& engine, const EqualLayers& shape);

}  // namespace unroll::benchmark
