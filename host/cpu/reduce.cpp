#include "host/cpu/reduce.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "host/cpu/kernels.h"
#include "host/cpu/row_sum.h"
#include "unroll/kernels/elementwise.h"
#include "unroll/loop_nest.h"

namespace unroll::host {

namespace {

/// Reduces [outer, middle, inner] over the middle.
void reduce_middle(Device& device, const Reduce& args, std::int64_t outer, std::int64_t middle,
                   std::int64_t inner) {
  const float* in = args.in.as<float>();
  float* out = args.out.as<float>();
  const RowKernels& kernels = row_kernels();
  const bool sums = args.kind == ReduceKind::kSum, max = args.kind == ReduceKind::kMax;
  const auto scale = float(args.scale);
  if (inner == 1) {
    const auto extreme = max ? kernels.max_or_nan : kernels.min_or_nan;
    device.pool.parallel_for(outer, grain_of(middle), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        out[r] =
            sums ? kernels.sum(in + r * middle, middle) * scale : extreme(in + r * middle, middle);
    });
    return;
  }
  const auto accumulate = max ? kernels.accumulate_max : kernels.accumulate_min;
  // Every thread owns some columns and adds up their rows in order.
  device.pool.parallel_for(inner, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = 0; r < outer; ++r) {
      float* to = out + r * inner + begin;
      const float* from = in + r * middle * inner + begin;
      if (sums) {
        std::memset(to, 0, std::size_t(end - begin) * sizeof(float));
        add_rows({from, middle, end - begin, inner, to});
        if (scale != 1) kernels.scale(to, scale, end - begin);
        continue;
      }
      if (middle == 0) {
        std::fill(to, to + (end - begin), max ? -INFINITY : INFINITY);
        continue;
      }
      std::memcpy(to, from, std::size_t(end - begin) * sizeof(float));
      for (std::int64_t k = 1; k < middle; ++k) accumulate(from + k * inner, to, end - begin);
    }
  });
}

void reduce_floats(Device& device, const Reduce& args) {
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
  const bool sums = args.kind == ReduceKind::kSum, max = args.kind == ReduceKind::kMax;
  const float* in = args.in.as<float>();
  float* out = args.out.as<float>();
  std::fill(out, out + args.out.elements(), sums ? 0.0F : max ? -INFINITY : INFINITY);
  for (std::int64_t i = 0; i < total; ++i) {
    std::int64_t rest = i, at = 0;
    for (int k = count; k-- > 0;) {
      at += rest % extent[k] * out_stride[k];
      rest /= extent[k];
    }
    if (sums)
      out[at] += in[i];
    else
      out[at] = max ? math::maximum(out[at], in[i]) : math::minimum(out[at], in[i]);
  }
  // Also scale an extreme, by 1: the selected value may be subnormal.
  row_kernels().scale(out, sums ? float(args.scale) : 1, args.out.elements());
}

/// The elements of `in` that one element of `out` is made of, and where those of the next lie.
struct Terms {
  LoopNest<1> kept, reduced;

  explicit Terms(const Reduce& args) {
    for (int axis = 0; axis < args.in.shape.rank(); ++axis) {
      const Shape& in = args.in.shape;
      (args.out.shape[axis] == 1 ? reduced : kept).push(in[axis], {broadcast_stride(in, in, axis)});
    }
  }

  /// Calls visit(offset, place) for each of output `index`, in row-major order.
  template <typename Visit>
  void for_each(std::int64_t index, const Visit& visit) const {
    const std::int64_t first =
        kept.row_offset(0, index / kept.inner()) + index % kept.inner() * kept.inner_stride(0);
    std::int64_t place = 0;
    for (std::int64_t row = 0; row < reduced.outer(); ++row)
      for (std::int64_t i = 0; i < reduced.inner(); ++i)
        visit(first + reduced.row_offset(0, row) + i * reduced.inner_stride(0), place++);
  }
};

template <typename T>
T sum_of(const T* in, const Terms& terms, std::int64_t index, double scale) {
  T sum = 0;
  terms.for_each(index, [&](std::int64_t at, std::int64_t) {
    sum = wrapping(sum, in[at], [](const auto& a, const auto& b) { return a + b; });
  });
  if constexpr (std::is_floating_point_v<T>) sum *= T(scale);
  return sum;
}

template <bool greatest, typename T>
T extreme_of(const T* in, const Terms& terms, std::int64_t index) {
  T best = math::worst<greatest, T>();
  terms.for_each(index, [&](std::int64_t at, std::int64_t) {
    best = greatest ? math::maximum(best, in[at]) : math::minimum(best, in[at]);
  });
  return best;
}

template <bool greatest, typename T>
std::int64_t place_of_extreme(const T* in, const Terms& terms, std::int64_t index) {
  T best{};
  std::int64_t found = 0;
  terms.for_each(index, [&](std::int64_t at, std::int64_t place) {
    if (place > 0 && !math::beats<greatest>(in[at], best)) return;
    best = in[at];
    found = place;
  });
  return found;
}

/// Every element of `out` is made by one thread, which goes through its terms in order.
template <typename T>
void reduce_elements(Device& device, const Reduce& args) {
  const Terms terms(args);
  const T* in = args.in.as<T>();
  const auto for_each_output = [&]<typename Result>(Result* out, const auto& result) {
    device.pool.parallel_for(args.out.elements(), grain_of(terms.reduced.elements()),
                             [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t k = begin; k < end; ++k) out[k] = result(k);
                             });
  };
  switch (args.kind) {
    case ReduceKind::kSum:
      if constexpr (std::is_same_v<T, bool>)
        throw std::invalid_argument("reduce: got a sum of bool, expected one of numbers");
      else
        return for_each_output(args.out.as<T>(),
                               [&](std::int64_t k) { return sum_of(in, terms, k, args.scale); });
    case ReduceKind::kMax:
      return for_each_output(args.out.as<T>(),
                             [&](std::int64_t k) { return extreme_of<true>(in, terms, k); });
    case ReduceKind::kMin:
      return for_each_output(args.out.as<T>(),
                             [&](std::int64_t k) { return extreme_of<false>(in, terms, k); });
    case ReduceKind::kArgMax:
      return for_each_output(args.out.as<std::int64_t>(),
                             [&](std::int64_t k) { return place_of_extreme<true>(in, terms, k); });
    case ReduceKind::kArgMin:
      return for_each_output(args.out.as<std::int64_t>(),
                             [&](std::int64_t k) { return place_of_extreme<false>(in, terms, k); });
  }
}

}  // namespace

void reduce(Device& device, const Reduce& args) {
  if (args.in.dtype == DType::kFloat32 && !gives_place(args.kind))
    return reduce_floats(device, args);
  with_type(args.in.dtype, [&](auto zero) { reduce_elements<decltype(zero)>(device, args); });
}

}  // namespace unroll::host
