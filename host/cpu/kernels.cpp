#include "host/cpu/kernels.h"

#include "host/cpu/isa.h"

#define UNROLL_KERNEL_TABLES(isa)                      \
  namespace unroll::host::isa {                        \
  extern const ElementwiseKernels kElementwiseKernels; \
  extern const GateKernels kGateKernels;               \
  extern const RowKernels kRowKernels;                 \
  extern const OptimizerKernels kOptimizerKernels;     \
  }
UNROLL_KERNEL_TABLES(avx512)
UNROLL_KERNEL_TABLES(avx2)
UNROLL_KERNEL_TABLES(baseline)
#undef UNROLL_KERNEL_TABLES

namespace unroll::host {

#define UNROLL_SELECT(table) for_isa(avx512::table, avx2::table, baseline::table)
const ElementwiseKernels& elementwise_kernels() {
  return UNROLL_SELECT(kElementwiseKernels);
}
const GateKernels& gate_kernels() {
  return UNROLL_SELECT(kGateKernels);
}
const RowKernels& row_kernels() {
  return UNROLL_SELECT(kRowKernels);
}
const OptimizerKernels& optimizer_kernels() {
  return UNROLL_SELECT(kOptimizerKernels);
}
#undef UNROLL_SELECT

}  // namespace unroll::host
