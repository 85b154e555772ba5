#include "host/cpu/layout.h"

#include <cstring>

#include "unroll/loop_nest.h"

namespace unroll::host {

void copy_region(Device& device, const CopyRegion& args) {
  if (args.extent.elements() == 0) return;
  LoopNest<2> loops;
  for (int axis = 0; axis < args.extent.rank(); ++axis)
    loops.push(args.extent[axis], {args.in_stride[axis], args.out_stride[axis]});
  // All copied element types have 4 bytes.
  const auto* in = static_cast<const std::uint32_t*>(args.in.data) + args.in_offset;
  auto* out = static_cast<std::uint32_t*>(args.out.data) + args.out_offset;
  const std::int64_t inner = loops.inner();
  const std::int64_t in_step = loops.inner_stride(0), out_step = loops.inner_stride(1);
  device.pool.parallel_for(loops.outer(), grain_of(inner),
                           [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t row = begin; row < end; ++row) {
                               const std::uint32_t* from = in + loops.row_offset(0, row);
                               std::uint32_t* to = out + loops.row_offset(1, row);
                               if (in_step == 1 && out_step == 1)
                                 std::memcpy(to, from, std::size_t(inner) * sizeof(*to));
                               else
                                 for (std::int64_t k = 0; k < inner; ++k)
                                   to[k * out_step] = from[k * in_step];
                             }
                           });
}

}  // namespace unroll::host
