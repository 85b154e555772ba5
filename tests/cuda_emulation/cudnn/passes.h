/// The three passes of a recurrent network, in loops as plain as the equations of cuDNN's manual.
#pragma once

#include <cstddef>

#include "tests/cuda_emulation/cudnn/descriptors.h"

namespace unroll::gpu::cudnn {

/// The arguments of all three passes; each pass leaves some null.
struct Pass {
  RnnData rnn;
  int steps, batch;
  const void *x, *y, *hx, *cx, *weights;
  void *y_out, *hy, *cy;       // forward
  const void *dy, *dhy, *dcy;  // backward
  void *dx, *dhx, *dcx, *dweights;
  void *work, *reserve;
  std::size_t work_bytes;
  bool training;
};

void run_forward(const Pass& pass);
void run_backward_data(const Pass& pass);
void run_backward_weights(const Pass& pass);

}  // namespace unroll::gpu::cudnn
