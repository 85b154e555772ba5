/// Loops over one row: sums, maxima, and the pieces of a softmax.
#include "host/cpu/kernels.h"
#include "host/cpu/packet.h"
#include "unroll/math/elementwise.h"

namespace unroll::host::UNROLL_ISA {
namespace {

/// Calls whole(i) for every full packet of [0, n) and rest(i, count) for the remainder.
template <typename Whole, typename Rest>
UNROLL_INLINE void for_each_packet(std::int64_t n, const Whole& whole, const Rest& rest) {
  std::int64_t i = 0;
  for (; i + kPacketWidth <= n; i += kPacketWidth) whole(i);
  if (i < n) rest(i, n - i);
}

/// The first n lanes of x; `other` elsewhere.
UNROLL_INLINE Packet first_lanes(Packet x, std::int64_t n, float other) {
  float lanes[kPacketWidth];
  for (int i = 0; i < kPacketWidth; ++i) lanes[i] = i < n ? x.v[i] : other;
  return load(lanes);
}

constexpr float kInfinity = __builtin_inff();

/// `worst` is what the best of no elements is.
template <typename Combine>
UNROLL_INLINE float best_of(const float* x, std::int64_t n, float worst, const Combine& combine) {
  Packet best(worst);
  for_each_packet(
      n, [&](std::int64_t i) { best = combine(best, load(x + i)); },
      [&](std::int64_t i, std::int64_t count) {
        best = combine(best, first_lanes(load(x + i, count), count, worst));
      });
  return reduce(best, combine);
}

float max_of(const float* x, std::int64_t n) {
  return best_of(x, n, -kInfinity, [](Packet a, Packet b) { return max(a, b); });
}

/// The greater, or NaN if either is NaN.
UNROLL_INLINE Packet max_or_nan(Packet a, Packet b) {
  return flushed(math::maximum(a, b));
}
/// The lesser, or NaN if either is NaN.
UNROLL_INLINE Packet min_or_nan(Packet a, Packet b) {
  return flushed(math::minimum(a, b));
}

float max_or_nan_of(const float* x, std::int64_t n) {
  return best_of(x, n, -kInfinity, [](Packet a, Packet b) { return max_or_nan(a, b); });
}

float min_or_nan_of(const float* x, std::int64_t n) {
  return best_of(x, n, kInfinity, [](Packet a, Packet b) { return min_or_nan(a, b); });
}

/// Blocks are added up, then their sums: one chain over millions of numbers would lose precision. A
/// multiple of every packet width.
constexpr std::int64_t kBlock = 1 << 14;

float sum_of(const float* x, std::int64_t n) {
  Packet total(0.0f);
  for (; n > 0; x += kBlock, n -= kBlock) {
    Packet block(0.0f);
    for_each_packet(
        n < kBlock ? n : kBlock, [&](std::int64_t i) { block += load(x + i); },
        [&](std::int64_t i, std::int64_t count) { block += load(x + i, count); });
    total += block;
  }
  return horizontal_sum(total);
}

float dot_of(const float* x, const float* y, std::int64_t n) {
  Packet total(0.0f);
  for (; n > 0; x += kBlock, y += kBlock, n -= kBlock) {
    Packet block(0.0f);
    for_each_packet(
        n < kBlock ? n : kBlock,
        [&](std::int64_t i) { block = fma(load(x + i), load(y + i), block); },
        [&](std::int64_t i, std::int64_t count) {
          block = fma(load(x + i, count), load(y + i, count), block);
        });
    total += block;
  }
  return horizontal_sum(total);
}

float add_bias_and_max(float* x, const float* bias, std::int64_t n) {
  const float lowest = -__builtin_inff();
  Packet best(lowest);
  for_each_packet(
      n,
      [&](std::int64_t i) {
        const Packet y = load(x + i) + load(bias + i);
        store(x + i, y);
        best = max(best, y);
      },
      [&](std::int64_t i, std::int64_t count) {
        const Packet y = load(x + i, count) + load(bias + i, count);
        store(x + i, y, count);
        best = max(best, first_lanes(y, count, lowest));
      });
  return horizontal_max(best);
}

float exp_sum(const float* x, float shift, float* y, std::int64_t n) {
  const Packet by(shift);
  Packet total(0.0f);
  for_each_packet(
      n,
      [&](std::int64_t i) {
        const Packet e = exp(load(x + i) - by);
        if (y) store(y + i, e);
        total += e;
      },
      [&](std::int64_t i, std::int64_t count) {
        const Packet e = first_lanes(exp(load(x + i, count) - by), count, 0.0f);
        if (y) store(y + i, e, count);
        total += e;
      });
  return horizontal_sum(total);
}

/// y[i] = f(i-th packets of x and z).
template <typename Function>
UNROLL_INLINE void map(const float* x, const float* z, float* y, std::int64_t n,
                       const Function& f) {
  for_each_packet(
      n, [&](std::int64_t i) { store(y + i, f(load(x + i), load(z + i))); },
      [&](std::int64_t i, std::int64_t count) {
        store(y + i, f(load(x + i, count), load(z + i, count)), count);
      });
}

void scale(float* x, float factor, std::int64_t n) {
  const Packet by(factor);
  map(x, x, x, n, [=](Packet v, Packet) { return v * by; });
}

void shift_by(const float* x, float first, float second, float* y, std::int64_t n) {
  const Packet a(first), b(second);
  map(x, x, y, n, [=](Packet v, Packet) { return (v - a) - b; });
}

void softmax_gradient(const float* y, const float* dy, float dot, float* dx, std::int64_t n) {
  const Packet mean(dot);
  map(y, dy, dx, n, [=](Packet v, Packet dv) { return v * (dv - mean); });
}

void log_softmax_gradient(const float* y, const float* dy, float sum, float* dx, std::int64_t n) {
  const Packet total(sum);
  map(y, dy, dx, n, [=](Packet v, Packet dv) { return dv - exp(v) * total; });
}

void accumulate(const float* x, float* y, std::int64_t n) {
  map(x, y, y, n, [](Packet a, Packet b) { return b + a; });
}

void accumulate_scaled(const float* x, float factor, float* y, std::int64_t n) {
  const Packet by(factor);
  map(x, y, y, n, [=](Packet a, Packet b) { return fma(a, by, b); });
}

void accumulate_product(const float* a, const float* b, float* y, std::int64_t n) {
  for_each_packet(
      n, [&](std::int64_t i) { store(y + i, fma(load(a + i), load(b + i), load(y + i))); },
      [&](std::int64_t i, std::int64_t count) {
        store(y + i, fma(load(a + i, count), load(b + i, count), load(y + i, count)), count);
      });
}

void accumulate_max(const float* x, float* y, std::int64_t n) {
  map(x, y, y, n, [](Packet a, Packet b) { return max_or_nan(b, a); });
}

void accumulate_min(const float* x, float* y, std::int64_t n) {
  map(x, y, y, n, [](Packet a, Packet b) { return min_or_nan(b, a); });
}

void round_all_to_bf16(float* x, std::int64_t n) {
  for_each_packet(
      n, [&](std::int64_t i) { store(x + i, round_to_bf16(load(x + i))); },
      [&](std::int64_t i, std::int64_t count) {
        store(x + i, round_to_bf16(load(x + i, count)), count);
      });
}

}  // namespace

extern const RowKernels kRowKernels;
const RowKernels kRowKernels = {
    max_of,
    max_or_nan_of,
    sum_of,
    dot_of,
    add_bias_and_max,
    exp_sum,
    scale,
    shift_by,
    softmax_gradient,
    log_softmax_gradient,
    accumulate,
    accumulate_scaled,
    accumulate_product,
    accumulate_max,
    min_or_nan_of,
    accumulate_min,
    round_all_to_bf16,
};

}  // namespace unroll::host::UNROLL_ISA
