#include "cuda/ops/softmax.h"

#include <cmath>

#include "cuda/device/launch.h"
#include "cuda/ops/reduction.cuh"

namespace unroll::gpu {
namespace {

/// Rows up to this length get one warp each.
constexpr std::int64_t kWarpColumns = 128;

/// Three passes over the row, which stays in the cache. Computing e^x again is cheaper than writing
/// twice.
template <bool log, bool whole_block, int width>
__global__ __launch_bounds__(kTeamBlock) void softmax_kernel(const float* __restrict__ x,
                                                             float* __restrict__ y,
                                                             std::int64_t rows,
                                                             std::int64_t columns) {
  const Team<whole_block> team;
  if (team.row >= rows) return;
  x += team.row * columns;
  y += team.row * columns;
  const float max = team.template reduce<width>(columns, Max(),
                                                [&](std::int64_t i) { return load<width>(x + i); });
  const float sum = team.template reduce<width>(columns, Sum(), [&](std::int64_t i) {
    return map(load<width>(x + i), [&](float v) { return expf(v - max); });
  });
  const float last = log ? logf(sum) : 1 / sum;
  team.template for_each<width>(columns, [&](std::int64_t i) {
    store(y + i, map(load<width>(x + i),
                     [&](float v) { return log ? (v - max) - last : expf(v - max) * last; }));
  });
}

template <bool log, bool whole_block, int width>
__global__ __launch_bounds__(kTeamBlock) void softmax_gradient_kernel(const float* __restrict__ y,
                                                                      const float* __restrict__ dy,
                                                                      float* __restrict__ dx,
                                                                      std::int64_t rows,
                                                                      std::int64_t columns) {
  const Team<whole_block> team;
  if (team.row >= rows) return;
  y += team.row * columns;
  dy += team.row * columns;
  dx += team.row * columns;
  const float sum = team.template reduce<width>(columns, Sum(), [&](std::int64_t i) {
    Pack<float, width> terms = load<width>(dy + i);
    if constexpr (!log) {
      const Pack<float, width> value = load<width>(y + i);
      for (int j = 0; j < width; ++j) terms.v[j] *= value.v[j];
    }
    return terms;
  });
  team.template for_each<width>(columns, [&](std::int64_t i) {
    const Pack<float, width> value = load<width>(y + i);
    Pack<float, width> slope = load<width>(dy + i);
    for (int j = 0; j < width; ++j)
      slope.v[j] = log ? slope.v[j] - expf(value.v[j]) * sum : value.v[j] * (slope.v[j] - sum);
    store(dx + i, slope);
  });
}

}  // namespace

void softmax(Device& device, const Softmax& args) {
  const std::int64_t rows = args.x.shape.rows(), columns = args.x.shape.last();
  if (rows * columns == 0) return;
  const float* x = args.x.as<float>();
  float* y = args.y.as<float>();
  with_team(columns > kWarpColumns, packs_of_four(x, columns) && packs_of_four(y, columns),
            [&](auto whole_block, auto width) {
              launch(device.stream(), team_grid(whole_block, rows), kTeamBlock,
                     args.log ? softmax_kernel<true, whole_block, width>
                              : softmax_kernel<false, whole_block, width>,
                     x, y, rows, columns);
            });
}

void softmax_gradient(Device& device, const SoftmaxGradient& args) {
  const std::int64_t rows = args.y.shape.rows(), columns = args.y.shape.last();
  if (rows * columns == 0) return;
  const float *y = args.y.as<float>(), *dy = args.dy.as<float>();
  float* dx = args.dx.as<float>();
  with_team(columns > kWarpColumns,
            packs_of_four(y, columns) && packs_of_four(dy, columns) && packs_of_four(dx, columns),
            [&](auto whole_block, auto width) {
              launch(device.stream(), team_grid(whole_block, rows), kTeamBlock,
                     args.log ? softmax_gradient_kernel<true, whole_block, width>
                              : softmax_gradient_kernel<false, whole_block, width>,
                     y, dy, dx, rows, columns);
            });
}

}  // namespace unroll::gpu
