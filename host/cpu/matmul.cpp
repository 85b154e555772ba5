#include "host/cpu/matmul.h"

#include "unroll/loop_nest.h"

namespace unroll::host {

void matmul(Device& device, const Matmul& args) {
  const std::int64_t m = args.m(), n = args.n(), k = args.k();
  const LoopNest<3> stacks = stack_nest(args.a.shape, args.b.shape, args.c.shape);
  for (std::int64_t row = 0; row < stacks.outer(); ++row)
    for (std::int64_t i = 0; i < stacks.inner(); ++i) {
      const auto matrix = [&](int operand) {
        return stacks.row_offset(operand, row) + i * stacks.inner_stride(operand);
      };
      device.multiply(Gemm{m, n, k, args.a.as<float>() + matrix(0) * m * k, args.a.shape.last(),
                           args.transpose_a, args.b.as<float>() + matrix(1) * k * n,
                           args.b.shape.last(), args.transpose_b,
                           args.c.as<float>() + matrix(2) * m * n, n, false});
    }
}

}  // namespace unroll::host
