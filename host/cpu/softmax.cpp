#include "host/cpu/softmax.h"

#include <algorithm>
#include <cmath>

#include "host/cpu/kernels.h"

namespace unroll::host {

void softmax(Device& device, const Softmax& args) {
  const std::int64_t columns = args.x.shape.last();
  const float* x = args.x.as<float>();
  float* y = args.y.as<float>();
  device.pool.parallel_for(
      args.x.shape.rows(), grain_of(columns), [&](std::int64_t begin, std::int64_t end) {
        const RowKernels& kernels = row_kernels();
        for (std::int64_t row = begin; row < end; ++row) {
          const float* from = x + row * columns;
          float* to = y + row * columns;
          const float max = kernels.max(from, columns);
          const float sum = kernels.exp_sum(from, max, args.log ? nullptr : to, columns);
          if (args.log)
            kernels.shift(from, max, std::log(sum), to, columns);
          else
            kernels.scale(to, 1 / sum, columns);
        }
      });
}

void softmax_gradient(Device& device, const SoftmaxGradient& args) {
  const std::int64_t columns = args.y.shape.last();
  device.pool.parallel_for(
      args.y.shape.rows(), grain_of(columns), [&](std::int64_t begin, std::int64_t end) {
        const RowKernels& kernels = row_kernels();
        for (std::int64_t row = begin; row < end; ++row) {
          const float* y = args.y.as<float>() + row * columns;
          const float* dy = args.dy.as<float>() + row * columns;
          float* dx = args.dx.as<float>() + row * columns;
          if (args.log)
            kernels.log_softmax_gradient(y, dy, kernels.sum(dy, columns), dx, columns);
          else
            kernels.softmax_gradient(y, dy, kernels.dot(y, dy, columns), dx, columns);
        }
      });
}

}  // namespace unroll::host
