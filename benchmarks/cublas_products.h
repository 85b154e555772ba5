/// The matrix products of a recurrent stack on a GPU and nothing else, each pass as one CUDA graph:
/// what no schedule made of these cuBLAS calls can beat.
#pragma once

#include <functional>
#include <memory>

#include "host/bench/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

struct CublasProducts {
  std::unique_ptr<Replay> forward, backward;
  std::function<double(Replay&)> seconds;  // of one run
};

/// Per layer, with hidden units and inputs padded to 8: forward W x over all timesteps, then R h of
/// each step added to it; backward R^T dgates of each step, then dW, dR and dx.
CublasProducts cublas_products(const StackShape& shape, Precision precision);

}  // namespace unroll::benchmark
