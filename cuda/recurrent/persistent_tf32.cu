#include "cuda/recurrent/persistent_kernels.cuh"

namespace unroll::gpu {

PersistentKernels persistent_tf32_kernels(const RecurrentSpec& spec) {
  return kernels_of<Tf32Product>(spec);
}

}  // namespace unroll::gpu
