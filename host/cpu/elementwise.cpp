#include "host/cpu/elementwise.h"

#include <cstdint>
#include <type_traits>

#include "host/cpu/kernels.h"
#include "unroll/kernels/elementwise.h"
#include "unroll/loop_nest.h"
#include "unroll/math/convert.h"

namespace unroll::host {
namespace {

/// Calls run(row, begin, end) for pieces of the nest's rows, in several threads.
template <int operands, typename Run>
void for_each_run(Device& device, const LoopNest<operands>& loops, const Run& run) {
  const std::int64_t inner = loops.inner(), outer = loops.outer();
  if (outer == 1) {
    device.pool.parallel_for(inner, kGrain,
                             [&](std::int64_t begin, std::int64_t end) { run(0, begin, end); });
  } else {
    device.pool.parallel_for(outer, grain_of(inner), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) run(r, 0, inner);
    });
  }
}

/// out = f(a, b). After broadcasting, an innermost stride is 0 or 1.
template <typename T, typename Result, typename F>
void map_elements(Device& device, const Elementwise& e, const LoopNest<3>& loops, const F& f) {
  const T *pa = e.a.as<T>(), *pb = e.b ? e.b.as<T>() : pa;
  Result* out = e.out.as<Result>();
  const std::int64_t step_a = loops.inner_stride(0), step_b = loops.inner_stride(1);
  for_each_run(device, loops, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    const T *a = pa + loops.row_offset(0, r), *b = pb + loops.row_offset(1, r);
    Result* to = out + loops.row_offset(2, r);
    for (std::int64_t i = begin; i < end; ++i) to[i] = f(a[i * step_a], b[i * step_b]);
  });
}

/// The kinds that do not take and give float32.
template <typename T>
void map_kind(Device& device, const Elementwise& e, const LoopNest<3>& loops) {
  with_kind<T>(e.kind, [&](auto constant) {
    constexpr ElementwiseKind kKind = decltype(constant)::value;
    if constexpr (gives_bool(kKind)) {
      map_elements<T, bool>(device, e, loops, [](T a, T b) { return truth<kKind>(a, b); });
    } else if constexpr (!std::is_same_v<T, float>) {
      const auto alpha = math::converted<T>(e.alpha), beta = math::converted<T>(e.beta);
      map_elements<T, T>(device, e, loops, [alpha, beta](const T& a, const T& b) {
        return element<kKind>(a, b, alpha, beta);
      });
    }
  });
}

void map_floats(Device& device, const Elementwise& e, const LoopNest<3>& loops) {
  const float *pa = e.a.as<float>(), *pb = e.b ? e.b.as<float>() : pa;
  float* out = e.out.as<float>();
  const int step_a = int(loops.inner_stride(0)), step_b = int(loops.inner_stride(1));
  for_each_run(device, loops, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    elementwise_kernels().map(e.kind, end - begin, pa + loops.row_offset(0, r) + begin * step_a,
                              step_a, pb + loops.row_offset(1, r) + begin * step_b, step_b,
                              out + loops.row_offset(2, r) + begin, float(e.alpha), float(e.beta));
  });
}

/// T: an unsigned integer of the elements' size, because only bits are moved.
template <typename T>
void choose(Device& device, const Where& w) {
  const LoopNest<4> loops = broadcast_nest(w.condition.shape, w.a.shape, w.b.shape, w.out.shape);
  const std::int64_t step = loops.inner_stride(0), step_a = loops.inner_stride(1),
                     step_b = loops.inner_stride(2);
  for_each_run(device, loops, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    const bool* condition = w.condition.as<bool>() + loops.row_offset(0, r);
    const T* a = static_cast<const T*>(w.a.data) + loops.row_offset(1, r);
    const T* b = static_cast<const T*>(w.b.data) + loops.row_offset(2, r);
    T* out = static_cast<T*>(w.out.data) + loops.row_offset(3, r);
    for (std::int64_t i = begin; i < end; ++i)
      out[i] = condition[i * step] ? a[i * step_a] : b[i * step_b];
  });
}

}  // namespace

void elementwise(Device& device, const Elementwise& e) {
  const LoopNest<3> loops = broadcast_nest(e.a.shape, e.b ? e.b.shape : e.a.shape, e.out.shape);
  if (e.a.dtype == DType::kFloat32 && !gives_bool(e.kind)) return map_floats(device, e, loops);
  with_type(e.a.dtype, [&](auto zero) { map_kind<decltype(zero)>(device, e, loops); });
}

void cast(Device& device, const Cast& c) {
  with_type(c.in.dtype, [&](auto from) {
    with_type(c.out.dtype, [&](auto to) {
      const auto* in = c.in.as<decltype(from)>();
      auto* out = c.out.as<decltype(to)>();
      device.pool.parallel_for(c.in.elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) out[i] = math::converted<decltype(to)>(in[i]);
      });
    });
  });
}

void where(Device& device, const Where& w) {
  switch (size_of(w.out.dtype)) {
    case 1:
      return choose<std::uint8_t>(device, w);
    case 4:
      return choose<std::uint32_t>(device, w);
    default:
      return choose<std::uint64_t>(device, w);
  }
}

}  // namespace unroll::host
