/// The gate kernels of an LSTM with layer norm. All units of a sequence at a timestep depend on
/// each other, so one block computes them. The formulas are those of unroll/cells/lstm.h.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/recurrent/gates.h"

namespace unroll::gpu {

/// What layer norm adds to the arguments of a cell. Gains and bias are the parameters themselves.
struct NormSite {
  const float *gain_ih, *gain_hh;  // [G H]
  const float *gain_c, *bias_c;    // [H]
  float* c_normal;                 // [N, Hp] n(c): forward out, backward in
  float* scales;                   // [N, kNormScales]: as c_normal, but that of W x is written by
                                   // normalize_inputs()
};
struct NormForwardCell : ForwardCell {
  NormSite norm;
};
struct NormBackwardCell : BackwardCell {
  NormSite norm;
  float* dc_scaled;  // [N, Hp] out: gradient of gain_c n(c) + bias_c
};

/// W x becomes n(W x) in rows of gates [rows, slots, Hp].
struct NormInputs {
  float* gates;
  float* scales;  // [rows, kNormScales]
  std::int64_t rows;
  std::int32_t units, padded;
};
void normalize_inputs(cudaStream_t stream, const cells::CellProgram& program,
                      const NormInputs& args);

/// As gates_forward() and gates_backward(). dh may be written in any case.
void norm_gates_forward(cudaStream_t stream, const GateKernel& kernel,
                        const GateArgs<NormForwardCell>& args);
void norm_gates_backward(cudaStream_t stream, const GateKernel& kernel,
                         const GateArgs<NormBackwardCell>& args);

/// The gradients of a cell's gains and of bias_c, sums over all timesteps and sequences. Each
/// output may be null.
struct NormGradients {
  const void* dgates;  // [rows, slots, Hp] of `element`
  Element element;
  const float* gates;                 // [rows, slots, Hp]
  const float *dc_scaled, *c_normal;  // [rows, Hp]
  std::int64_t rows;
  std::int32_t units, padded;
  float *dgain_ih, *dgain_hh, *dgain_c, *dbias_c;
};
void norm_gradients(cudaStream_t stream, const cells::CellProgram& program,
                    const NormGradients& args);

}  // namespace unroll::gpu
