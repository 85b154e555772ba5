#include "cuda/recurrent/persistent_kernels.cuh"

namespace unroll::gpu {

PersistentKernels persistent_fp32_kernels(const RecurrentSpec& spec) {
  return kernels_of<Fp32Product>(spec);
}

}  // namespace unroll::gpu
