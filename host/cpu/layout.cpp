#include "host/cpu/layout.h"

#include <algorithm>
#include <cstring>

#include "unroll/kernels/elementwise.h"
#include "unroll/loop_nest.h"

namespace unroll::host {
namespace {

/// `Word` has the size of an element: copies keep its bits, whatever they mean.
template <typename Word>
void copy_words(Device& device, const CopyRegion& args, const LoopNest<2>& loops) {
  const auto* in = static_cast<const Word*>(args.in.data) + args.in_offset;
  auto* out = static_cast<Word*>(args.out.data) + args.out_offset;
  const std::int64_t inner = loops.inner();
  const std::int64_t in_step = loops.inner_stride(0), out_step = loops.inner_stride(1);
  device.pool.parallel_for(loops.outer(), grain_of(inner),
                           [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t row = begin; row < end; ++row) {
                               const Word* from = in + loops.row_offset(0, row);
                               Word* to = out + loops.row_offset(1, row);
                               if (in_step == 1 && out_step == 1)
                                 std::memcpy(to, from, std::size_t(inner) * sizeof(*to));
                               else
                                 for (std::int64_t k = 0; k < inner; ++k)
                                   to[k * out_step] = from[k * in_step];
                             }
                           });
}

template <typename T>
void fill_with(Device& device, const View& out, T value) {
  T* const to = out.as<T>();
  device.pool.parallel_for(out.elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::fill(to + begin, to + end, value);
  });
}

}  // namespace

void copy_region(Device& device, const CopyRegion& args) {
  if (args.extent.elements() == 0) return;
  LoopNest<2> loops;
  for (int axis = 0; axis < args.extent.rank(); ++axis)
    loops.push(args.extent[axis], {args.in_stride[axis], args.out_stride[axis]});
  switch (size_of(args.in.dtype)) {
    case 1:
      return copy_words<std::uint8_t>(device, args, loops);
    case 4:
      return copy_words<std::uint32_t>(device, args, loops);
    default:
      return copy_words<std::uint64_t>(device, args, loops);
  }
}

void fill(Device& device, const Fill& args) {
  with_type(args.out.dtype, [&]<typename T>(T) { fill_with(device, args.out, T(args.value)); });
}

}  // namespace unroll::host
