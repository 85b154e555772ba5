#include "host/cpu/matmul.h"

namespace unroll::host {

void matmul(Device& device, const Matmul& args) {
  device.multiply(Gemm{args.m(), args.n(), args.k(), args.a.as<float>(), args.a.shape[1],
                       args.transpose_a, args.b.as<float>(), args.b.shape[1], args.transpose_b,
                       args.c.as<float>(), args.c.shape[1], false});
}

}  // namespace unroll::host
