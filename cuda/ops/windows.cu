#include "cuda/ops/windows.h"

#include "cuda/device/launch.h"

namespace unroll::gpu {
namespace {

constexpr int kThreads = 256;

struct Overlap {
  const float* windows;
  float* x;
  std::int64_t elements, height, width;
  std::int64_t extent[6], strides[6];  // of n, c, oh, ow, kh, kw
  std::int64_t stride, dilation;

  /// The window whose place k is the element at `position`; -1: none is.
  __device__ std::int64_t window(std::int64_t position, std::int64_t k, int axis) const {
    const std::int64_t begin = position - k * dilation;
    return begin >= 0 && begin % stride == 0 && begin / stride < extent[axis] ? begin / stride : -1;
  }
};

/// One thread per element of x.
__global__ __launch_bounds__(kThreads) void fold_kernel(__grid_constant__ const Overlap fold) {
  const std::int64_t index = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= fold.elements) return;
  const std::int64_t w = index % fold.width, h = index / fold.width % fold.height;
  const std::int64_t plane = index / (fold.width * fold.height);
  const float* own = fold.windows + plane / fold.extent[1] * fold.strides[0] +
                     plane % fold.extent[1] * fold.strides[1];
  float sum = 0;
  for (std::int64_t kh = 0; kh < fold.extent[4]; ++kh) {
    const std::int64_t oh = fold.window(h, kh, 2);
    if (oh < 0) continue;
    for (std::int64_t kw = 0; kw < fold.extent[5]; ++kw) {
      const std::int64_t ow = fold.window(w, kw, 3);
      if (ow >= 0)
        sum += own[oh * fold.strides[2] + ow * fold.strides[3] + kh * fold.strides[4] +
                   kw * fold.strides[5]];
    }
  }
  fold.x[index] = sum;
}

}  // namespace

void fold(Device& device, const Fold& args) {
  Overlap overlap{args.windows.as<float>(),
                  args.x.as<float>(),
                  args.x.elements(),
                  args.x.shape[2],
                  args.x.shape[3],
                  {},
                  {},
                  args.stride,
                  args.dilation};
  if (overlap.elements == 0) return;
  for (int k = 0; k < 6; ++k) {
    overlap.extent[k] = args.extent[k];
    overlap.strides[k] = args.window_strides[k];
  }
  launch(device.stream(), blocks_for(overlap.elements, kThreads), kThreads, fold_kernel, overlap);
}

}  // namespace unroll::gpu
