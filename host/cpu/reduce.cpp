#include "host/cpu/reduce.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "host/cpu/kernels.h"
#include "host/cpu/row_sum.h"

namespace unroll::host {

namespace {

/// Reduces [outer, middle, inner] over the middle.
void reduce_middle(Device& device, const Reduce& args, std::int64_t outer, std::int64_t middle,
                   std::int64_t inner) {
  const float* in = args.in.as<float>();
  float* out = args.out.as<float>();
  const RowKernels& kernels = row_kernels();
  const bool sums = args.kind == ReduceKind::kSum;
  if (inner == 1) {
    device.pool.parallel_for(outer, grain_of(middle), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        out[r] = sums ? kernels.sum(in + r * middle, middle) * args.scale
                      : kernels.max_or_nan(in + r * middle, middle);
    });
    return;
  }
  // Every thread owns some columns and adds up their rows in order.
  device.pool.parallel_for(inner, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = 0; r < outer; ++r) {
      float* to = out + r * inner + begin;
      const float* from = in + r * middle * inner + begin;
      if (sums) {
        std::memset(to, 0, std::size_t(end - begin) * sizeof(float));
        add_rows({from, middle, end - begin, inner, to});
        if (args.scale != 1) kernels.scale(to, args.scale, end - begin);
        continue;
      }
      std::memcpy(to, from, std::size_t(end - begin) * sizeof(float));
      for (std::int64_t k = 1; k < middle; ++k)
        kernels.accumulate_max(from + k * inner, to, end - begin);
    }
  });
}

}  // namespace

void reduce(Device& device, const Reduce& args) {
  // Merge the dimensions into runs that are reduced and runs that are kept.
  int reduced_groups = 0, reduced_at = 0;
  bool last_reduced = false;
  std::int64_t extent[Shape::kMaxRank];
  bool is_reduced[Shape::kMaxRank];
  int count = 0;
  for (int axis = 0; axis < args.in.shape.rank(); ++axis) {
    const std::int64_t size = args.in.shape[axis];
    if (size == 1) continue;
    const bool reduced = args.out.shape[axis] == 1;
    if (count > 0 && reduced == last_reduced) {
      extent[count - 1] *= size;
    } else {
      extent[count] = size;
      is_reduced[count] = reduced;
      if (reduced) {
        ++reduced_groups;
        reduced_at = count;
      }
      ++count;
    }
    last_reduced = reduced;
  }
  if (reduced_groups <= 1) {
    std::int64_t outer = 1, middle = 1, inner = 1;
    for (int k = 0; k < count; ++k) {
      if (reduced_groups == 1 && k == reduced_at)
        middle = extent[k];
      else
        (reduced_groups == 1 && k > reduced_at ? inner : outer) *= extent[k];
    }
    reduce_middle(device, args, outer, middle, inner);
    return;
  }
  // Rare: the reduced runs are not adjacent. One pass over the input in order.
  std::int64_t out_stride[Shape::kMaxRank];
  std::int64_t stride = 1, total = 1;
  for (int k = count; k-- > 0;) {
    out_stride[k] = is_reduced[k] ? 0 : stride;
    if (!is_reduced[k]) stride *= extent[k];
    total *= extent[k];
  }
  const bool sums = args.kind == ReduceKind::kSum;
  const float* in = args.in.as<float>();
  float* out = args.out.as<float>();
  std::fill(out, out + args.out.elements(), sums ? 0.0F : -INFINITY);
  for (std::int64_t i = 0; i < total; ++i) {
    std::int64_t rest = i, at = 0;
    for (int k = count; k-- > 0;) {
      at += rest % extent[k] * out_stride[k];
      rest /= extent[k];
    }
    if (sums)
      out[at] += in[i];
    else
      out[at] = out[at] < in[i] || std::isnan(in[i]) ? in[i] : out[at];
  }
  // Also scale a maximum, by 1: the selected value may be subnormal.
  row_kernels().scale(out, sums ? args.scale : 1, args.out.elements());
}

}  // namespace unroll::host
