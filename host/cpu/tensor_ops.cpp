#include "host/cpu/tensor_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "host/cpu/kernels.h"
#include "host/cpu/row_sum.h"

namespace unroll::host {
namespace {

/// Elements that are worth another thread.
constexpr std::int64_t kGrain = 8192;

/// A loop nest over `extent` in which each operand has strides of its own; neighbouring dimensions
/// that all operands walk as one are merged.
template <int operands>
struct LoopNest {
  std::int64_t extent[Shape::kMaxRank];
  std::int64_t stride[operands][Shape::kMaxRank];
  int rank = 0;

  void push(std::int64_t size, const std::int64_t (&strides)[operands]) {
    if (size == 1) return;
    bool mergeable = rank > 0;
    for (int k = 0; mergeable && k < operands; ++k)
      mergeable = stride[k][rank - 1] == strides[k] * size;
    if (!mergeable) {
      extent[rank] = 1;
      ++rank;
    }
    extent[rank - 1] *= size;
    for (int k = 0; k < operands; ++k) stride[k][rank - 1] = strides[k];
  }

  std::int64_t inner() const { return rank == 0 ? 1 : extent[rank - 1]; }
  std::int64_t outer() const {
    std::int64_t count = 1;
    for (int axis = 0; axis + 1 < rank; ++axis) count *= extent[axis];
    return count;
  }
  std::int64_t inner_stride(int operand) const { return rank == 0 ? 0 : stride[operand][rank - 1]; }

  /// Offset of an operand at the row-th combination of all but the innermost index.
  std::int64_t offset(int operand, std::int64_t row) const {
    std::int64_t at = 0;
    for (int axis = rank - 2; axis >= 0; --axis) {
      at += row % extent[axis] * stride[operand][axis];
      row /= extent[axis];
    }
    return at;
  }
};

/// Stride of `from`'s dimension under the broadcast shape's `axis`: 0 where it is repeated.
std::int64_t broadcast_stride(const Shape& from, const Shape& to, int axis) {
  const int own = axis - (to.rank() - from.rank());
  if (own < 0 || from[own] == 1) return 0;
  std::int64_t stride = 1;
  for (int k = own + 1; k < from.rank(); ++k) stride *= from[k];
  return stride;
}

}  // namespace

void elementwise(Device& device, const Elementwise& e) {
  const View b = e.b ? e.b : e.a;
  LoopNest<3> loops;
  for (int axis = 0; axis < e.out.shape.rank(); ++axis)
    loops.push(e.out.shape[axis], {broadcast_stride(e.a.shape, e.out.shape, axis),
                                   broadcast_stride(b.shape, e.out.shape, axis),
                                   broadcast_stride(e.out.shape, e.out.shape, axis)});
  const float *pa = e.a.as<float>(), *pb = b.as<float>();
  float* out = e.out.as<float>();
  const std::int64_t inner = loops.inner(), outer = loops.outer();
  // Broadcasting leaves an innermost stride of 0 or 1.
  const int step_a = int(loops.inner_stride(0)), step_b = int(loops.inner_stride(1));
  const auto row = [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    elementwise_kernels().map(e.kind, end - begin, pa + loops.offset(0, r) + begin * step_a, step_a,
                              pb + loops.offset(1, r) + begin * step_b, step_b,
                              out + loops.offset(2, r) + begin, e.alpha, e.beta);
  };
  if (outer == 1) {
    device.pool.parallel_for(inner, kGrain,
                             [&](std::int64_t begin, std::int64_t end) { row(0, begin, end); });
  } else {
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / inner);
    device.pool.parallel_for(outer, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) row(r, 0, inner);
    });
  }
}

namespace {

/// Reduces [outer, middle, inner] over the middle.
void reduce_middle(Device& device, const Reduce& args, std::int64_t outer, std::int64_t middle,
                   std::int64_t inner) {
  const float* in = args.in.as<float>();
  float* out = args.out.as<float>();
  const RowKernels& kernels = row_kernels();
  const bool sums = args.kind == ReduceKind::kSum;
  if (inner == 1) {
    device.pool.parallel_for(outer,
                             std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, middle)),
                             [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t r = begin; r < end; ++r)
                                 out[r] = sums ? kernels.sum(in + r * middle, middle) * args.scale
                                               : kernels.max_or_nan(in + r * middle, middle);
                             });
    return;
  }
  // Every thread owns some columns and adds up its rows in order.
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
  // Group the dimensions into runs that are reduced and runs that are kept.
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
  // Rare: reduced runs apart from each other. One pass over the input in order.
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
  // A maximum, too, is scaled, by 1: what was chosen may be subnormal.
  row_kernels().scale(out, sums ? args.scale : 1, args.out.elements());
}

void copy_region(Device& device, const CopyRegion& args) {
  if (args.extent.elements() == 0) return;
  LoopNest<2> loops;
  for (int axis = 0; axis < args.extent.rank(); ++axis)
    loops.push(args.extent[axis], {args.in_stride[axis], args.out_stride[axis]});
  // All element types that are copied have 4 bytes.
  const auto* in = static_cast<const std::uint32_t*>(args.in.data) + args.in_offset;
  auto* out = static_cast<std::uint32_t*>(args.out.data) + args.out_offset;
  const std::int64_t inner = loops.inner();
  const std::int64_t in_step = loops.inner_stride(0), out_step = loops.inner_stride(1);
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / inner);
  device.pool.parallel_for(loops.outer(), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::uint32_t* from = in + loops.offset(0, row);
      std::uint32_t* to = out + loops.offset(1, row);
      if (in_step == 1 && out_step == 1)
        std::memcpy(to, from, std::size_t(inner) * sizeof(*to));
      else
        for (std::int64_t k = 0; k < inner; ++k) to[k * out_step] = from[k * in_step];
    }
  });
}

void softmax(Device& device, const Softmax& args) {
  const std::int64_t columns = args.x.shape.last();
  const float* x = args.x.as<float>();
  float* y = args.y.as<float>();
  device.pool.parallel_for(args.x.shape.rows(), std::max<std::int64_t>(1, kGrain / columns),
                           [&](std::int64_t begin, std::int64_t end) {
                             const RowKernels& kernels = row_kernels();
                             for (std::int64_t row = begin; row < end; ++row) {
                               const float* from = x + row * columns;
                               float* to = y + row * columns;
                               const float max = kernels.max(from, columns);
                               const float sum =
                                   kernels.exp_sum(from, max, args.log ? nullptr : to, columns);
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
      args.y.shape.rows(), std::max<std::int64_t>(1, kGrain / columns),
      [&](std::int64_t begin, std::int64_t end) {
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

void gather_rows(Device& device, const GatherRows& args) {
  const std::int64_t columns = args.table.shape[1], rows = args.table.shape[0];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  const auto bytes = std::size_t(columns) * sizeof(float);
  device.pool.parallel_for(args.ids.elements(),
                           std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, columns)),
                           [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t k = begin; k < end; ++k) {
                               float* to = args.out.as<float>() + k * columns;
                               if (ids[k] >= 0 && ids[k] < rows)
                                 std::memcpy(to, args.table.as<float>() + ids[k] * columns, bytes);
                               else
                                 std::memset(to, 0, bytes);
                             }
                           });
}

void scatter_add_rows(Device& device, const ScatterAddRows& args) {
  const std::int64_t columns = args.table.shape[1], rows = args.table.shape[0];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  // Threads own columns: every sum is made by one of them, in order.
  device.pool.parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = 0; k < args.ids.elements(); ++k)
      if (ids[k] >= 0 && ids[k] < rows)
        row_kernels().accumulate(args.rows.as<float>() + k * columns + begin,
                                 args.table.as<float>() + ids[k] * columns + begin, end - begin);
  });
}

std::size_t coalesce_scratch_bytes(std::int64_t rows) {
  return std::size_t(rows) * sizeof(std::uint64_t);
}

void coalesce_rows(Device& device, const CoalesceRows& args) {
  const std::int64_t count = args.ids.elements(), columns = args.rows.shape[1];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  std::int32_t* unique = args.unique_ids.as<std::int32_t>();
  auto* pairs = reinterpret_cast<std::uint64_t*>(args.scratch.as<std::byte>());
  std::int64_t used = 0;
  for (std::int64_t k = 0; k < count; ++k)
    if (ids[k] >= 0 && ids[k] < args.limit)
      pairs[used++] = (std::uint64_t(ids[k]) << 32) | std::uint64_t(k);
  std::sort(pairs, pairs + used);  // by id, then by position

  std::memset(args.sums.data, 0, args.sums.bytes());
  device.pool.parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t row = -1;
    for (std::int64_t k = 0; k < used; ++k) {
      if (k == 0 || pairs[k] >> 32 != pairs[k - 1] >> 32) ++row;
      row_kernels().accumulate(
          args.rows.as<float>() + std::int64_t(pairs[k] & 0xFFFFFFFFu) * columns + begin,
          args.sums.as<float>() + row * columns + begin, end - begin);
    }
  });
  std::int64_t found = 0;
  for (std::int64_t k = 0; k < used; ++k)
    if (k == 0 || pairs[k] >> 32 != pairs[k - 1] >> 32)
      unique[found++] = std::int32_t(pairs[k] >> 32);
  std::fill(unique + found, unique + count, -1);
}

void one_hot(Device& device, const OneHot& args) {
  const std::int64_t classes = args.out.shape[1];
  const std::int32_t* ids = args.ids.as<std::int32_t>();
  float* out = args.out.as<float>();
  device.pool.parallel_for(args.ids.elements(), std::max<std::int64_t>(1, kGrain / classes),
                           [&](std::int64_t begin, std::int64_t end) {
                             std::fill(out + begin * classes, out + end * classes, 0.0F);
                             for (std::int64_t k = begin; k < end; ++k)
                               if (ids[k] >= 0 && ids[k] < classes) out[k * classes + ids[k]] = 1;
                           });
}

}  // namespace unroll::host
