#include "cuda/ops/matmul.h"

#include "unroll/loop_nest.h"

namespace unroll::gpu {

void matmul(Device& device, const Matmul& args) {
  const std::int64_t m = args.m(), n = args.n(), k = args.k();
  const LoopNest<3> stacks = stack_nest(args.a.shape, args.b.shape, args.c.shape);
  // One call for each run of matrices that lie at equal distances; 0 where one is repeated.
  for (std::int64_t row = 0; row < stacks.outer(); ++row)
    device.multiply({.m = m,
                     .n = n,
                     .k = k,
                     .a = args.a.as<float>() + stacks.row_offset(0, row) * m * k,
                     .lda = args.a.shape.last(),
                     .transpose_a = args.transpose_a,
                     .b = args.b.as<float>() + stacks.row_offset(1, row) * k * n,
                     .ldb = args.b.shape.last(),
                     .transpose_b = args.transpose_b,
                     .c = args.c.as<float>() + stacks.row_offset(2, row) * m * n,
                     .ldc = n,
                     .batch = stacks.inner(),
                     .stride_a = stacks.inner_stride(0) * m * k,
                     .stride_b = stacks.inner_stride(1) * k * n,
                     .stride_c = stacks.inner_stride(2) * m * n});
}

}  // namespace unroll::gpu
