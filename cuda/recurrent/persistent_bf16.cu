#include "cuda/recurrent/persistent_kernels.cuh"

namespace unroll::gpu {

PersistentKernels persistent_bf16_kernels(CellKind cell) {
  return kernels_of<Bf16Product>(cell);
}

}  // namespace unroll::gpu
