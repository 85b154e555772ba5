#include "cuda/recurrent/persistent_kernels.cuh"

namespace unroll::gpu {

PersistentKernels persistent_bf16_kernels(const RecurrentSpec& spec) {
  return kernels_of<Bf16Product>(spec);
}

}  // namespace unroll::gpu
