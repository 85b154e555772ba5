#include "host/cpu/kernels.h"

#include "host/cpu/isa.h"

#define UNROLL_KERNEL_TABLES(isa)                      \
  namespace unroll::host::isa {                        \
  extern const ElementwiseKernels kElementwiseKernels; \
  extern const GateKernelTable kGateKernels;           \
  extern const RowKernels kRowKernels;                 \
  extern const OptimizerKernels kOptimizerKernels;     \
  }
UNROLL_KERNEL_TABLES(avx512)
UNROLL_KERNEL_TABLES(avx2)
UNROLL_KERNEL_TABLES(baseline)
#undef UNROLL_KERNEL_TABLES

namespace unroll::host {

const ElementwiseKernels& elementwise_kernels() {
  return UNROLL_FOR_ISA(kElementwiseKernels);
}
GateKernels gate_kernels(const RecurrentSpec& spec) {
  return UNROLL_FOR_ISA(kGateKernels).of(spec);
}
const RowKernels& row_kernels() {
  return UNROLL_FOR_ISA(kRowKernels);
}
const OptimizerKernels& optimizer_kernels() {
  return UNROLL_FOR_ISA(kOptimizerKernels);
}

}  // namespace unroll::host
