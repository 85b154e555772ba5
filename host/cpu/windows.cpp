#include "host/cpu/windows.h"

#include <algorithm>

namespace unroll::host {

void fold(Device& device, const Fold& args) {
  const Shape& extent = args.extent;
  const Shape& strides = args.window_strides;
  const std::int64_t height = args.x.shape[2], width = args.x.shape[3];
  const float* windows = args.windows.as<float>();
  // A thread owns planes [H, W] and adds each place of all windows before the next place.
  device.pool.parallel_for(
      extent[0] * extent[1], grain_of(extent[2] * extent[3] * extent[4] * extent[5]),
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t plane = begin; plane < end; ++plane) {
          float* x = args.x.as<float>() + plane * height * width;
          std::fill(x, x + height * width, 0.0F);
          const float* own =
              windows + plane / extent[1] * strides[0] + plane % extent[1] * strides[1];
          for (std::int64_t place = 0; place < extent[4] * extent[5]; ++place) {
            const std::int64_t kh = place / extent[5], kw = place % extent[5];
            const float* from = own + kh * strides[4] + kw * strides[5];
            for (std::int64_t oh = 0; oh < extent[2]; ++oh) {
              float* to = x + (oh * args.stride + kh * args.dilation) * width + kw * args.dilation;
              for (std::int64_t ow = 0; ow < extent[3]; ++ow)
                to[ow * args.stride] += from[oh * strides[2] + ow * strides[3]];
            }
          }
        }
      });
}

}  // namespace unroll::host
