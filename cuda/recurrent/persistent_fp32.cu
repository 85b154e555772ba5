#include "cuda/recurrent/persistent_kernels.cuh"

namespace unroll::gpu {

PersistentKernels persistent_fp32_kernels(CellKind cell) {
  return kernels_of<Fp32Product>(cell);
}

}  // namespace unroll::gpu
