/// The projection of an LSTM, h_t = W_hr m_t with m_t = o tanh(c_t): what surrounds the product.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/recurrent/gates.h"

namespace unroll::gpu {

struct ProjectedCell : OutputSite {
  const float* projected;  // [N, Rp]: W_hr m
};
struct ProjectedGradient : GradientSite {
  void* dprojected;  // [N, Rp] E out: the gradient of h_t; zero past a sequence's end
};

/// In `args`, units and padded are R and Rp.
void projection_forward(cudaStream_t stream, Element element, const GateArgs<ProjectedCell>& args);
void projection_backward(cudaStream_t stream, Element element,
                         const GateArgs<ProjectedGradient>& args);

}  // namespace unroll::gpu
