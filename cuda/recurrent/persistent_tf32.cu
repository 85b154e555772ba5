#include "cuda/recurrent/persistent_kernels.cuh"

namespace unroll::gpu {

PersistentKernels persistent_tf32_kernels(CellKind cell) {
  return kernels_of<Tf32Product>(cell);
}

}  // namespace unroll::gpu
