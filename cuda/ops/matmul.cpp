#include "cuda/ops/matmul.h"

namespace unroll::gpu {

void matmul(Device& device, const Matmul& args) {
  device.multiply({.m = args.m(),
                   .n = args.n(),
                   .k = args.k(),
                   .a = args.a.as<float>(),
                   .lda = args.a.shape[1],
                   .transpose_a = args.transpose_a,
                   .b = args.b.as<float>(),
                   .ldb = args.b.shape[1],
                   .transpose_b = args.transpose_b,
                   .c = args.c.as<float>(),
                   .ldc = args.c.shape[1]});
}

}  // namespace unroll::gpu
