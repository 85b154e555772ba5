#include "host/cpu/elementwise.h"

#include "host/cpu/kernels.h"
#include "unroll/loop_nest.h"

namespace unroll::host {

void elementwise(Device& device, const Elementwise& e) {
  const View b = e.b ? e.b : e.a;
  const LoopNest<3> loops = broadcast_nest(e.a.shape, b.shape, e.out.shape);
  const float *pa = e.a.as<float>(), *pb = b.as<float>();
  float* out = e.out.as<float>();
  const std::int64_t inner = loops.inner(), outer = loops.outer();
  // After broadcasting, an innermost stride is 0 or 1.
  const int step_a = int(loops.inner_stride(0)), step_b = int(loops.inner_stride(1));
  const auto row = [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    elementwise_kernels().map(e.kind, end - begin, pa + loops.row_offset(0, r) + begin * step_a,
                              step_a, pb + loops.row_offset(1, r) + begin * step_b, step_b,
                              out + loops.row_offset(2, r) + begin, e.alpha, e.beta);
  };
  if (outer == 1) {
    device.pool.parallel_for(inner, kGrain,
                             [&](std::int64_t begin, std::int64_t end) { row(0, begin, end); });
  } else {
    device.pool.parallel_for(outer, grain_of(inner), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) row(r, 0, inner);
    });
  }
}

}  // namespace unroll::host
